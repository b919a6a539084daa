"""What the rows of a table become, a module for each kind of task: texts, tags, questions, choices, sets of texts."""
