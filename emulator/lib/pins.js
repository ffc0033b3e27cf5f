// SPDX-License-Identifier: Apache-2.0
// The level of each GPIO: the board's own output, else what is connected outside, else its pull.

const HIGH = 1;
const PULL_UP = 3;

/** The level of a line that the board drives (0, 1), or not (null). */
export function resolve(driven, external, pullUp) {
  return driven ?? external ?? (pullUp ? 1 : 0);
}

export class Pins {
  /** `now()` gives the time in nanoseconds for the events that `onChange` gets. */
  constructor(gpio, now, onChange = () => {}) {
    this.gpio = gpio;
    this.external = gpio.map(() => null);
    this.levels = gpio.map(() => 0);
    this.now = now;
    this.onChange = onChange;
    gpio.forEach((pin, number) => {
      pin.addListener(() => this.#settle(number));
      this.#settle(number);
    });
  }

  #check(number) {
    if (!Number.isInteger(number) || !this.gpio[number]) {
      throw new RangeError(`there is no GPIO ${number}`);
    }
  }

  #settle(number) {
    const pin = this.gpio[number];
    const driven = pin.outputEnable ? (pin.value === HIGH ? 1 : 0) : null;
    const level = resolve(driven, this.external[number], pin.value === PULL_UP);
    // Setting an input again would latch one more edge.
    if (level !== Number(pin.rawInputValue)) {
      pin.setInputValue(Boolean(level));
    }
    if (level !== this.levels[number]) {
      this.levels[number] = level;
      this.onChange({ pin: number, level, nanos: Math.round(this.now()) });
    }
  }

  /** Connect a level (0, 1) to a pin, or nothing (null). */
  set(number, level) {
    this.#check(number);
    if (level !== null && level !== 0 && level !== 1) {
      throw new RangeError('the level is 0, 1 or null');
    }
    this.external[number] = level;
    this.#settle(number);
  }

  get(number) {
    this.#check(number);
    const pin = this.gpio[number];
    return {
      level: this.levels[number],
      external: this.external[number],
      output: Boolean(pin.outputEnable),
      function: pin.functionSelect,
    };
  }
}
