"""A server on this machine that speaks the Hub's protocol, as far as huggingface_hub uses it.

Files ending in .onnx or .safetensors lie in large file storage, which is a host of its own (here: a port):
the Hub answers for them with a redirect that carries their hash and size. Everything is kept in memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".onnx", ".safetensors")


@dataclass
class Repository:
    """Commits, newest last: hash -> name -> content."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def commit(self, files: dict[str, bytes]) -> str:
        before = list(self.commits.values())[-1] if self.commits else {}
        revision = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits[revision] = {**before, **files}
        return revision

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            revision = list(self.commits)[-1]
        return (revision, self.commits[revision]) if revision in self.commits else None


class HubServer:
    """The Hub and its large file storage.

    Attributes:
        repositories: by ``OWNER/NAME``.
        tokens: token -> whether it may write.
        spoil: what is done to a large file on its way: content -> the bytes that are sent of it.
        headers: what answers for a file say beside, or instead of, what they should.
        endless: send a large file again and again, until nobody takes it any more.
        stalls: send nothing of a large file, or a byte now and then; ``"header"`` sends the answer's header so.
        over: set at the end.
        sent: how many bytes were sent so.
        oid: what a commit is said to be called.
        dies: after sending what `spoil` leaves, stop for good.
        busy: how many requests for a file are still answered with 503.
        seen: method and path of each request.
        storage_authorisation: tokens that reached the storage, which is none of its business.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.tokens = {"reader": False, "writer": True}
        self.spoil: Callable[[bytes], bytes] = bytes
        self.headers: dict[str, str] = {}
        self.endless = False
        self.stalls = ""
        self.over = threading.Event()
        self.sent = 0
        self.oid: str | None = None
        self.dies = False
        self.busy = 0
        self.seen: list[str] = []
        self.stored: dict[str, bytes] = {}
        self.storage_authorisation: list[str] = []
        self._servers = [self._start(Hub), self._start(Storage)]
        self.endpoint, self.storage = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def _start(self, kind: type[Handler]) -> ThreadingHTTPServer:
        handler = type(kind.__name__, (kind,), {"hub": self})
        server = Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    def stop(self) -> None:
        self.over.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def downloads(self) -> int:
        """How often the storage was asked for a file."""
        return sum(line.startswith("GET /large/") for line in self.seen)


class Server(ThreadingHTTPServer):
    """It is no news to it that somebody hangs up."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    """What both hosts share."""

    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle_any(self) -> None:
        self.hub.seen.append(f"{self.command} {self.path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer(unquote(urlsplit(self.path).path))

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def answer(self, path: str) -> None:
        raise NotImplementedError

    def drip(self) -> None:
        """A byte now and then, for long enough."""
        self.wfile.flush()
        for _ in range(500):
            if self.hub.stalls == "silence":
                self.hub.over.wait(5)
            else:
                self.wfile.write(b"a")
            if self.hub.over.wait(0.01):
                break
        self.close_connection = True

    def reply(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def reply_json(self, value: Any, status: int = 200) -> None:
        self.reply(status, json.dumps(value).encode(), Content_Type="application/json")

    def refuse(self, status: int, code: str, message: str, **headers: str) -> None:
        if code:
            headers["X_Error_Code"] = code
        content = json.dumps({"error": message}).encode()
        self.reply(status, content, X_Error_Message=message, Content_Type="application/json", **headers)


class Storage(Handler):
    """Large files by their SHA-256."""

    def answer(self, path: str) -> None:
        if "Authorization" in self.headers:
            self.hub.storage_authorisation.append(self.headers["Authorization"])
        oid = path.removeprefix("/large/")
        if self.command == "PUT":
            if hashlib.sha256(self.body).hexdigest() != oid:
                return self.reply(400)
            self.hub.stored[oid] = self.body
            return self.reply(200, ETag=f'"{oid}"')
        if oid not in self.hub.stored:
            return self.reply(403)
        self.send(self.hub.stored[oid])

    def send(self, content: bytes) -> None:
        if self.hub.endless:
            return self.send_on_and_on(content)
        total, start = len(content), 0
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start = int(asked[1])
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(total - start))
        for name, value in self.hub.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.hub.stalls:
            return self.drip()
        self.wfile.write(self.hub.spoil(content)[start:])
        self.wfile.flush()
        if len(self.hub.spoil(content)) < total:
            self.close_connection = True
        if self.hub.dies:
            self.hub.stop()
        return None

    def send_on_and_on(self, content: bytes) -> None:
        self.send_response(200)
        self.end_headers()  # without a length: the end is where the connection is closed
        self.close_connection = True
        while self.hub.sent < 100 * len(content):
            self.wfile.write(content)
            self.hub.sent += len(content)


class Hub(Handler):
    """Repositories, their files and their commits."""

    def answer(self, path: str) -> None:
        if self.command in ("GET", "HEAD") and (match := re.fullmatch("/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)):
            return self.resolve(*match.groups())
        if path == "/api/validate-yaml":
            text = json.loads(self.body)["content"]
            good = re.match(r"---\n(?:[\w-]+:.*\n|- .+\n)+---\n", text)
            return self.reply_json({"errors": [] if good else [{"message": "no metadata"}], "warnings": []})
        if path == "/api/repos/create":
            return self.create()
        for pattern, action in (
            ("/api/models/([^/]+/[^/]+)/revision/(.+)", self.information),
            ("/api/models/([^/]+/[^/]+)/preupload/(.+)", self.preupload),
            ("/api/models/([^/]+/[^/]+)/commit/(.+)", self.commit),
            (r"/([^/]+/[^/]+)\.git/info/lfs/objects/(batch)", self.batch),
            (r"/([^/]+/[^/]+)\.git/info/lfs/(verify)", self.verify),
        ):
            if match := re.fullmatch(pattern, path):
                repository = self.allowed(match[1], write=action != self.information)
                return action(match[1], repository, match[2]) if repository else None
        self.refuse(404, "", "Not Found")

    def allowed(self, repo_id: str, write: bool = False) -> Repository | None:
        """The repository; None if that was refused, and answered, as the Hub does."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        repository = self.hub.repositories.get(repo_id)
        if token and token not in self.hub.tokens:
            self.refuse(401, "", "Invalid credentials in Authorization header")
        elif repository is None or (repository.private and not token):
            # Whoever has no token is not told whether a repository is private or not there.
            self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        elif repository.gated and not token:
            self.refuse(401, "GatedRepo", "Access to this model is restricted")
        elif write and not self.hub.tokens.get(token):
            self.refuse(403, "", "You don't have the rights")
        else:
            return repository
        return None

    def resolve(self, repo_id: str, revision: str, name: str) -> None:
        if self.hub.busy:
            self.hub.busy -= 1
            return self.refuse(503, "", "Service Unavailable")
        repository = self.allowed(repo_id)
        if repository is None:
            return None
        found = repository.at(revision)
        if found is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        commit, files = found
        if name not in files:
            return self.refuse(404, "EntryNotFound", "Entry not found", X_Repo_Commit=commit)
        content = files[name]
        if not name.endswith(LARGE):
            return self.reply(200, content, X_Repo_Commit=commit, ETag=f'"{git_hash(content)}"')
        oid = hashlib.sha256(content).hexdigest()
        self.hub.stored[oid] = content
        if self.hub.stalls == "header":
            self.send_response(302)
            self.flush_headers()
            return self.drip()
        large = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content)), "ETag": '"pointer"'}
        large |= {"Location": f"{self.hub.storage}/large/{oid}", "X-Repo-Commit": commit, **self.hub.headers}
        return self.reply(302, b"", **large)

    def create(self) -> None:
        asked = json.loads(self.body)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if not self.hub.tokens.get(token):
            return self.refuse(403 if token in self.hub.tokens else 401, "", "You don't have the rights")
        repo_id = f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{self.hub.endpoint}/{repo_id}"}
        if repo_id in self.hub.repositories:
            return self.reply_json({**url, "error": "You already created this model repo"}, 409)
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.hub.repositories[repo_id] = Repository(private=private)
        self.hub.repositories[repo_id].commit({".gitattributes": b"*.onnx filter=lfs\n*.safetensors filter=lfs\n"})
        return self.reply_json(url)

    def information(self, repo_id: str, repository: Repository, revision: str) -> None:
        found = repository.at(revision)
        if found is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return self.reply_json({"id": repo_id, "sha": found[0], "private": repository.private, "siblings": []})

    def preupload(self, repo_id: str, repository: Repository, revision: str) -> None:
        found = repository.at(revision)
        assert found is not None
        files = []
        for each in json.loads(self.body)["files"]:
            large = each["path"].endswith(LARGE)
            entry = {"path": each["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            if (content := found[1].get(each["path"])) is not None:
                entry["oid"] = hashlib.sha256(content).hexdigest() if large else git_hash(content)
            files.append(entry)
        return self.reply_json({"files": files})

    def batch(self, repo_id: str, repository: Repository, _: str) -> None:
        objects = []
        for each in json.loads(self.body)["objects"]:
            entry = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.hub.stored:
                upload = {"href": f"{self.hub.storage}/large/{each['oid']}"}
                entry["actions"] = {
                    "upload": upload,
                    "verify": {"href": f"{self.hub.endpoint}/{repo_id}.git/info/lfs/verify"},
                }
            objects.append(entry)
        return self.reply_json({"transfer": "basic", "objects": objects})

    def verify(self, repo_id: str, repository: Repository, _: str) -> None:
        asked = json.loads(self.body)
        content = self.hub.stored.get(asked["oid"])
        return self.reply(200 if content is not None and len(content) == asked["size"] else 404)

    def commit(self, repo_id: str, repository: Repository, revision: str) -> None:
        files = {}
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                if value["oid"] not in self.hub.stored:
                    return self.refuse(400, "", f"{value['path']}: not uploaded")
                files[value["path"]] = self.hub.stored[value["oid"]]
        oid = self.hub.oid or repository.commit(files)
        answer = {"success": True, "commitOid": oid, "commitUrl": f"{self.hub.endpoint}/{repo_id}/commit/{oid}"}
        return self.reply_json(answer)


def git_hash(content: bytes) -> str:
    """The name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
