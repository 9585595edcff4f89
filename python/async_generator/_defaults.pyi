from typing import Any

# Some of their methods are made at run time, for all that Python code may ask defaults.
Defaults: Any
KeywordDefaults: Any
