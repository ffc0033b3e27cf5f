"""Cuts SerialPacker's frames with a mark out of a byte stream; see _serialpacker."""

from moat.micro.proto._serialpacker import Decoder


class MarkDecoder(Decoder):
    """A Decoder for a format with a mark: it picks the frames' bytes out of the text.

    Only as many as the frame needs: what follows is text or not, depending on its checksum.
    """

    def reset(self) -> None:
        """See Decoder.reset."""
        super().reset()
        self._raw = bytearray()
        self._pos = 0  # first byte not dealt with

    def unsettled(self) -> bool:
        """See BaseDecoder.unsettled; a mark without its byte may begin a frame, too."""
        return super().unsettled() or self._pos < len(self._raw)

    def feed(self, chunk: "bytes | bytearray | memoryview") -> None:
        """See Decoder.feed."""
        raw = self._raw
        if self._pos:
            raw[0 : self._pos] = b""
            self._pos = 0
        raw.extend(chunk)

    def next(self) -> "bytearray | None":
        """See Decoder.next."""
        while True:
            data = super().next()
            if data is not None or not self._pick():
                return data

    def expire(self) -> None:
        """See Decoder.expire."""
        super().expire()
        self._raw = bytearray()
        self._pos = 0

    def _pick(self):
        """Hand on what the frame needs, or one byte between frames; False: there is none."""
        raw = self._raw
        end = len(raw)
        pos = self._pos
        mark = self._form.mark
        want = self._need - len(self._buf)
        found = bytearray()
        while want and pos < end:
            at = raw.find(mark, pos)
            if at < 0:
                at = end
            if at > pos:
                self._add_text(raw[pos:at])
            pos = at + 2
            if pos > end:
                pos = at
                break
            found.append(raw[pos - 1])
            want -= 1
        self._pos = pos
        if found:
            super().feed(found)
        return bool(found)
