"""Who answers: models, where their files are, and what runs them."""
