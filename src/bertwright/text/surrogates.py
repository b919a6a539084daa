"""Half characters, which JSON escapes and shell arguments can bring in and no UTF-8 can hold."""


def without_surrogates(text: str) -> str:
    """Joins surrogate pairs into their character and turns lone surrogates into U+FFFD; other text comes back as it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
