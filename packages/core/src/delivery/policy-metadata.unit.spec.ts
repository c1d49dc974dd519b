import { decoratedMethods, declareMethod, methodMetadata, targetName } from './policy-metadata.js';
import { Retry } from './retry.decorator.js';

type AnyDecorator = (target: object, name: string, descriptor?: PropertyDescriptor) => void;

/** The sentence a decorator refuses its place with. */
function refusal(decorate: () => void): string {
  try {
    decorate();
  } catch (error) {
    return (error as Error).message;
  }
  return 'not refused';
}

const retry = Retry(3) as AnyDecorator;
const FIX = 'Put it on an async method of a class.';

describe('what a method decorator writes', () => {
  it('belongs to the name of the method, so it stays when another decorator replaces the function', () => {
    const replace: AnyDecorator = (_target, _name, descriptor) => {
      (descriptor as PropertyDescriptor).value = async () => 'replaced';
    };
    class Orders {
      @replace
      @Retry(3)
      async above() {}

      @Retry(4)
      @replace
      async below() {}
    }
    expect(methodMetadata(Orders.prototype, 'above')).toEqual({ retry: 3 });
    expect(methodMetadata(Orders.prototype, 'below')).toEqual({ retry: 4 });
  });

  it('is inherited with the method, and not by an override', () => {
    class Base {
      @Retry(3)
      async kept() {}

      @Retry(3)
      async overridden() {}
    }
    class Derived extends Base {
      override async overridden() {}
    }
    expect(methodMetadata(Derived.prototype, 'kept')).toEqual({ retry: 3 });
    expect(methodMetadata(Derived.prototype, 'overridden')).toBeUndefined();
    expect(methodMetadata(Base.prototype, 'overridden')).toEqual({ retry: 3 });
    expect(decoratedMethods(Derived.prototype).map(({ name, isEffective }) => [name, isEffective])).toEqual([
      ['kept', true],
      ['overridden', false],
    ]);
  });

  it('is not seen by a class that has nothing to do with it', () => {
    class Plain {
      async method() {}
    }
    expect(methodMetadata(Plain.prototype, 'method')).toBeUndefined();
    expect(decoratedMethods(Plain.prototype)).toEqual([]);
    expect(methodMetadata(Plain.prototype, 'toString')).toBeUndefined();
  });

  it('is not found by listing the properties of an instance or of its class', () => {
    class Orders {
      @Retry(3)
      async place() {}
    }
    expect(Object.keys(Orders.prototype)).toEqual([]);
    expect(JSON.stringify(new Orders())).toBe('{}');
  });
});

describe('a decorator on something else than a method is refused where the class is declared', () => {
  class Target {
    *generator() {}
    async *asyncGenerator() {}
    get getter() {
      return 1;
    }
    static async fixed() {}
  }
  const on = (name: string) => Object.getOwnPropertyDescriptor(Target.prototype, name);

  it.each([
    [
      'a function in a property',
      () => retry(Target.prototype, 'arrow'),
      'Target.arrow: it is a property, and a function in it is made anew for each instance; write a method',
    ],
    [
      'a generator',
      () => retry(Target.prototype, 'generator', on('generator')),
      'Target.generator: it is a generator, which goes on after the call has returned; collect the values and return them',
    ],
    [
      'an async generator',
      () => retry(Target.prototype, 'asyncGenerator', on('asyncGenerator')),
      'Target.asyncGenerator: it is a generator, which goes on after the call has returned; collect the values and return them',
    ],
    ['a getter', () => retry(Target.prototype, 'getter', on('getter')), 'Target.getter: it is a getter or setter'],
    [
      'a static method',
      () => retry(Target, 'fixed', Object.getOwnPropertyDescriptor(Target, 'fixed')),
      'Target.fixed: it is static, and there is no instance to find the application by',
    ],
    ['a class', () => retry(Target, undefined as never), 'Target: it is a class or a parameter of its constructor'],
    ['a parameter', () => retry(Target.prototype, 'generator', 0 as never), 'Target.generator: it is a parameter'],
  ])('%s', (_what, decorate, reason) => {
    expect(refusal(decorate)).toBe(`@Retry cannot stand on ${reason}. ${FIX}`);
  });

  it('twice on one method', () => {
    class Orders {
      async place() {}
    }
    const descriptor = Object.getOwnPropertyDescriptor(Orders.prototype, 'place');
    retry(Orders.prototype, 'place', descriptor);
    expect(refusal(() => retry(Orders.prototype, 'place', descriptor))).toBe(
      `@Retry cannot stand on Orders.place: it is there already, and which of the two counts would depend on their order. ${FIX}`,
    );
  });
});

it('names the class and the method, also of an anonymous class', () => {
  expect(targetName(new (class Orders {})(), 'place')).toBe('Orders.place');
  expect(targetName(Object.create(null), 'place')).toBe('an anonymous class.place');
});

it('takes a subscription as any other fact about the method', () => {
  class Placed {}
  class Billing {
    async charge() {}
  }
  const descriptor = Object.getOwnPropertyDescriptor(Billing.prototype, 'charge');
  declareMethod({
    decorator: 'OnMessage',
    kind: 'subscription',
    value: { types: Placed, options: { name: 'billing.charge' } },
    target: Billing.prototype,
    name: 'charge',
    descriptor,
  });
  expect(methodMetadata(Billing.prototype, 'charge')).toEqual({ subscription: { types: Placed, options: { name: 'billing.charge' } } });
});
