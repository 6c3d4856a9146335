"""What was done to a binary file that went through the hands of a program for texts."""


def of(content: bytes) -> str:
    """How a file was changed on its way, to stand behind its name; "" if nothing tells."""
    if content.count(b"\xef\xbf\xbd") > len(content) / 1000:
        return "was saved as text on its way, which replaced what is no letter"
    feeds, returns = content.count(b"\n"), content.count(b"\r")
    pairs = content.count(b"\r\n")
    # By chance one byte of 256 is either, and hardly ever one after the other.
    enough = max(len(content) / 1000, 8)
    doubled = (feeds > enough and pairs == feeds) or (returns > enough and pairs == returns)
    dropped = feeds + returns > 40 and not (feeds and returns)
    if doubled or dropped:
        return "was changed on its way: its line ends are others, as Git or FTP do to texts"
    return ""
