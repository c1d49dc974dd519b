import { changesOf, withChanges } from './state-changes.js';

const text = (state: object) => JSON.stringify(state);

it('what a step has changed is what it has set, replaced and deleted, and nothing of what others have', () => {
  const changes = changesOf(text({ id: 1, old: 'a', list: [1] }), text({ id: 1, list: [1, 2], paid: true }));
  expect(withChanges(text({ id: 1, old: 'a', list: [1], fraud: 'clear' }), changes)).toEqual({
    id: 1,
    list: [1, 2],
    paid: true,
    fraud: 'clear',
  });
});

it('a state that was left as it was has no changes', () => {
  expect(changesOf(text({ id: 1 }), text({ id: 1 }))).toBeUndefined();
  expect(withChanges(text({ id: 1 }), undefined)).toEqual({ id: 1 });
});
