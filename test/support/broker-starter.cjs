// Plain JavaScript, because Jest's global set-up uses it before anything is compiled.
const { createServer } = require('node:net');

/** Starts one broker for all suites of a run, when the first of them asks at its port; the answer is what tells where it is, or `{ reason }`. */
class BrokerStarter {
  #server = createServer((socket) => {
    socket.on('error', () => undefined);
    this.#starting ??= this.#startBroker();
    this.#starting.then((answer) => socket.end(JSON.stringify(answer)));
  });
  #starting;
  #broker;
  #start;
  #placeOf;

  constructor(start, placeOf) {
    this.#start = start;
    this.#placeOf = placeOf;
  }

  /** @param start starts the broker; @param placeOf what suites are told of it */
  static async open(start, placeOf) {
    const starter = new BrokerStarter(start, placeOf);
    await new Promise((resolve) => starter.#server.listen(0, '127.0.0.1', resolve));
    starter.#server.unref();
    return starter;
  }

  get port() {
    return this.#server.address().port;
  }

  async close() {
    this.#server.close();
    await this.#starting;
    await this.#broker?.remove();
  }

  async #startBroker() {
    try {
      this.#broker = await this.#start();
      return this.#placeOf(this.#broker);
    } catch (error) {
      return { reason: `it could not be started: ${error.message}` };
    }
  }
}

module.exports = { BrokerStarter };
