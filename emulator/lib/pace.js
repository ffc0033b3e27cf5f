// SPDX-License-Identifier: Apache-2.0
// How the board's time follows the host's.

/** More lag than this is given up: a busy board is slow, it does not hurry afterwards. */
const MAX_LAG_NANOS = 20e6;

/** Real time: the board's clock never runs ahead of the host's. Both are in nanoseconds. */
export class RealTime {
  constructor() {
    this.offset = null;
  }

  /** Up to which time of the board it may run; one that is `waiting` has no lag but has slept. */
  target(boardNanos, hostNanos, waiting) {
    const lag = hostNanos - this.offset - boardNanos;
    if (this.offset === null || (lag > MAX_LAG_NANOS && !waiting)) {
      this.offset = hostNanos - boardNanos;
    }
    return hostNanos - this.offset;
  }

  /** How long the host may sleep when the board does nothing for `idleNanos`. */
  sleep(idleNanos) {
    return idleNanos;
  }

  /** The board's clock starts anew. */
  restart() {
    this.offset = null;
  }
}

/** As fast as it goes: time in which the board waits takes none. */
export class FreeRunning {
  target() {
    return Infinity;
  }
  sleep(idleNanos) {
    return idleNanos === Infinity ? Infinity : 0;
  }
  restart() {}
}
