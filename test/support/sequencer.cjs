const { default: Sequencer } = require('@jest/test-sequencer');

const order = ['unit', 'int', 'e2e', 'crash'];

/** The cheap tests first; within a kind Jest's own order (failed and slow ones first). */
module.exports = class ByCost extends Sequencer {
  sort(tests) {
    const costOf = (test) => order.findIndex((kind) => test.path.endsWith(`.${kind}.spec.ts`));
    return [...super.sort(tests)].sort((a, b) => costOf(a) - costOf(b));
  }
};
