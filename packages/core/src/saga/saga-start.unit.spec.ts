import { seededRandom } from '../time/random.js';
import { sagaOf } from './decide-scene.spec.js';
import { startSaga } from './saga-start.js';

describe('a saga whose lock key is a promise', () => {
  it('does not begin, and the rejection reaches nobody', async () => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const lock = { keyOf: () => Promise.reject(new Error('no')), whenLocked: 'wait' };
    const runnable = { definition: sagaOf({ pay: {} }), outline: '', lock };
    const begun = startSaga({ store: {}, random: seededRandom(1) } as never, {} as never, { runnable, id: 's-1', state: '{}' } as never);
    await expect(begun).rejects.toThrow('it is a promise: the key must be there at once');
    await new Promise(setImmediate);
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });
});
