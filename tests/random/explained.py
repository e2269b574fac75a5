"""Where we differ from rsyslogd on purpose, as shrunk pairs show it. doc/configuration.md tells the users the same.

Each line: what the configuration of the shrunk pair matches, what one of its messages matches, and why.
"""

import re

ANY = b""
EXPLAINED = (
    (r'option\.json="on"|,json$', ANY,
     "option.json leaves a value of nothing but quotes as it is, which breaks the JSON; we escape it"),
    (r"timereported(?s:.)*timereported", ANY,
     "formats the time of RFC 3164 once a message, whichever form is asked for first; we each where it is asked for"),
    (r"(?<![0-9a-z\".])(25[6-9]|2[6-9][0-9]|[3-9][0-9]{2}|[0-9]{4,})(?![0-9])|ipv42num|parse_time", ANY,
     "takes a number for true by its low 8 bits, and compares by the low 32 bits; we by all of them"),
    (r'parse_json\(.*"\\\$[!.]"\)', ANY,
     "a scalar parsed into all variables takes their place; with us they stay an object"),
)


def why(pair):
    config = pair.environment + "\n" + "\n".join(pair.config("p", "DIR"))
    for in_config, in_message, reason in EXPLAINED:
        if re.search(in_config, config, re.M) and any(re.search(in_message, message) for message in pair.messages):
            return reason
    return None
