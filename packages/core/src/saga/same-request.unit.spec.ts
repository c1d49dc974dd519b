import { assertSameRequest } from './same-request.js';

const owner = { saga: 'buying', id: 'o1', step: 'charge' };
const charge = { type: 'card.charge', route: 'card.charge' };

it('a step asks again for what it has asked for', () => {
  assertSameRequest(undefined, charge, owner);
  assertSameRequest(charge, { ...charge }, owner);
});

it('a step that asks for something else, or somebody else, is told both', () => {
  const asking = (type: string, route: string) => () => assertSameRequest(charge, { type, route }, owner);
  const said = 'The step charge of the saga buying o1 asks for';
  expect(asking('card.hold', 'card.hold')).toThrow(`${said} card.hold, and has asked for card.charge before`);
  expect(asking('card.charge', 'banks:card.charge')).toThrow(`${said} banks:card.charge, and has asked for card.charge before`);
});

it('of a request that an older version has sent its type is known', () => {
  const before = { type: 'card.charge' };
  assertSameRequest(before, { type: 'card.charge', route: 'banks:card.charge' }, owner);
  expect(() => assertSameRequest(before, { type: 'card.hold', route: 'card.hold' }, owner)).toThrow('card.hold');
});
