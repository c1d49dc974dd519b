import 'reflect-metadata';
import { Idempotent, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { OrderPlaced, sentenceOf } from './support/scene.js';

class Reports {
  *rows() {
    yield 1;
  }
  async *pages() {
    yield 1;
  }
  async handle() {
    return undefined;
  }
}

type AnyDecorator = (target: object, name: string, descriptor?: PropertyDescriptor) => unknown;

function decorate(decorator: unknown, name: string): unknown {
  return (decorator as AnyDecorator)(Reports.prototype, name, Object.getOwnPropertyDescriptor(Reports.prototype, name));
}

it.each([
  ['Transactional', Transactional(), 'rows'],
  ['Transactional', Transactional(), 'pages'],
  ['Idempotent', Idempotent({ key: () => 'k' } as never), 'pages'],
  ['Retry', Retry(3), 'rows'],
])('@%s refuses a generator where the class is declared', async (name, decorator, method) => {
  expect(await sentenceOf(() => decorate(decorator, method))).toBe(
    `HF_DECORATOR_TARGET: @${name} cannot stand on Reports.${method}: it is a generator, which goes on after the call has returned; collect the values and return them. Put it on an async method of a class.`,
  );
});

it('@OnMessage refuses to be two subscriptions of one method, and a method that is not there', async () => {
  const name = 'billing.charge';
  expect(await sentenceOf(() => decorate(OnMessage(OrderPlaced, { name }), 'missing'))).toBe(
    'HF_DECORATOR_TARGET: @OnMessage cannot stand on Reports.missing: it is a property, and a function in it is made anew for each instance; write a method. Put it on an async method of a class.',
  );
  decorate(OnMessage(OrderPlaced, { name }), 'handle');
  expect(await sentenceOf(() => decorate(OnMessage(OrderPlaced, { name: 'billing.again' }), 'handle'))).toBe(
    'HF_DECORATOR_TARGET: @OnMessage cannot stand on Reports.handle: it is there already, and which of the two counts would depend on their order. Put it on an async method of a class.',
  );
});
