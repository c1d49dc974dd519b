// Plain JavaScript, because Jest's global set-up uses it before anything is compiled.
const { createServer } = require('node:net');

/** Starts one Kafka for all suites of a run, when the first of them asks at its port; the answer is `{ address }` or `{ reason }`. */
class KafkaStarter {
  #server = createServer((socket) => {
    socket.on('error', () => undefined);
    this.#start().then((answer) => socket.end(JSON.stringify(answer)));
  });
  #starting;
  #kafka;

  static async open() {
    const starter = new KafkaStarter();
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
    await this.#kafka?.remove();
  }

  #start() {
    this.#starting ??= this.#startKafka();
    return this.#starting;
  }

  async #startKafka() {
    try {
      this.#kafka = await require('@holdfast-internal/embedded-kafka').EmbeddedKafka.start();
      return { address: this.#kafka.address };
    } catch (error) {
      return { reason: `Kafka could not be started: ${error.message}` };
    }
  }
}

module.exports = { KafkaStarter };
