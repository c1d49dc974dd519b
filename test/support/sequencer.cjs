const { default: Sequencer } = require('@jest/test-sequencer');

const order = ['unit', 'int', 'e2e', 'crash'];
/** Those of the last kind that take a minute and more, the longest first, and the longest of a run of some packages: at the end of it one worker would wait for the other. */
const longest = [
  'packages/typeorm/src/postgres/store.int.spec.ts',
  'packages/typeorm/src/postgres/store-of-sagas.int.spec.ts',
  ...['failpoints', 'server', 'bank', 'broker', 'over-rabbitmq', 'over-kafka', 'over-rocketmq', 'hostile', 'flat-memory'].map(
    (name) => `test/crash/${name}.crash.spec.ts`,
  ),
];

/** The cheap tests first; within a kind the longest, as far as they are known, and then Jest's own order (failed and slow ones first). */
module.exports = class ByCost extends Sequencer {
  static longest = longest;

  sort(tests) {
    const kindOf = ({ path }) => order.findIndex((kind) => path.endsWith(`.${kind}.spec.ts`));
    const rankOf = ({ path }) => (longest.findIndex((name) => path.endsWith(name)) + longest.length + 1) % (longest.length + 1);
    return [...super.sort(tests)].sort((a, b) => kindOf(a) - kindOf(b) || rankOf(a) - rankOf(b));
  }
};
