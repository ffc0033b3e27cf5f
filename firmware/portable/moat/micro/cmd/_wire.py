"""The constants of the request protocol; docs/wire.md has the whole of it.

A message is an array whose first element is one of these kinds; what follows depends on it.
Elements beyond the known ones are ignored, and so are unknown keys of features and options.
"""

VERSION = 2

HELLO = 0  # version, sender's id, receiver's id or nil, limit of message bytes, features
CALL = 1  # id (0: no reply), path, [arguments, [credit of a stream or nil, [options]]]
REPLY = 2  # id, [result, [options]]              ends the call
ERROR = 4  # id, [type name, *args], [options]    ends the call
ITEM = 5  # id, value, [dropped]  of a stream, from the callee
CREDIT = 6  # id, bytes           the caller takes more of them
CANCEL = 7  # id                  the caller does not want it any more
BYE = 8  # the sender leaves
FEED = 9  # id, value             of a stream, from the caller
ROOM = 10  # id, bytes            the callee takes more of them
FED = 11  # id                    the caller has no more of them

# Features, in a hello: what has become of the receiver's calls in the session before.
DONE = 1  # ids, as bytes
BEGUN = 2
RECENT = 64  # calls are remembered for this

# Options of a call, and of its end.
DEADLINE = 1  # CALL: milliseconds that are left
TRACE = 2  # CALL: the way back so far, a list of items; the end: a list of [name, us]
TRACEBACK = 4  # CALL: true; ERROR: text
KEEP = 5  # CALL: how many values wait at most while there is no credit; older ones are dropped
AT = 6  # ERROR: items of the path that each hop took, the first hop first

# A hello may not contain the byte 3: until it has been read, a Ctrl-C interrupts the program.
# These bits make sure of it in an id; the kinds and the version leave 3 out.
ID_BITS = 0x08080808
