"""The constants of the request protocol; docs/wire.md has the whole of it.

A message is an array whose first element is one of these kinds; what follows depends on it.
Elements beyond the known ones are ignored.
"""

VERSION = 1

HELLO = 0  # version, sender's id, receiver's id or nil, limit of message bytes, features
CALL = 1  # id, path, [arguments, [credit of a stream]]
REPLY = 2  # id, [result]              ends the call
ERROR = 4  # id, [type name, *args]    ends the call
ITEM = 5  # id, value                  of a stream
CREDIT = 6  # id, bytes                more may be sent
CANCEL = 7  # id                       the caller does not want it any more
BYE = 8  # the sender leaves

# A hello may not contain the byte 3: until it has been read, a Ctrl-C interrupts the program.
# These bits make sure of it in an id; the kinds and the version leave 3 out.
ID_BITS = 0x08080808
