"""An import of users, courses and enrollments from files.

`records` reads the files, `upload` sends the records, and `command` is the script.
"""
