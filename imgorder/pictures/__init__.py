"""Pictures of an answer: a contact sheet and an animation, in the predicted order.

Imported only when one is to be made.
"""
