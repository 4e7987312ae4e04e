// Tests that mostly wait, several at once, while each is still a test of its own in the report:
//
//   const turns = new AtOnce(4);
//   for (const name of names) {
//     const result = turns.run(() => measure(name));
//     test(name, async (t) => t.diagnostic(await result));
//   }

export class AtOnce {
  constructor(limit) {
    this.free = limit;
    this.waiting = [];
  }

  // Resolves or rejects as `task` does, which begins when fewer than the limit run.
  run(task) {
    const result = this.#turn().then(task).finally(() => this.#next());
    // Whoever awaits it later still gets the failure.
    result.catch(() => {});
    return result;
  }

  #turn() {
    if (this.free > 0) {
      this.free -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve) => { this.waiting.push(resolve); });
  }

  #next() {
    const next = this.waiting.shift();
    if (next) next();
    else this.free += 1;
  }
}
