"""Kinds of option that several commands share."""

from typing import Annotated

from cyclopts import Parameter

# A switch that is off unless given, with no opposite to clutter the help.
Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
