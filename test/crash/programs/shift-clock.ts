// Loaded before the program: its clock can be moved, as by whoever sets that of a machine. Timers and `performance` stay right.
let shiftMs = 0;
const RealDate = Date;

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args: unknown[], newTarget) =>
    Reflect.construct(target, args.length === 0 ? [RealDate.now() + shiftMs] : args, newTarget) as object,
  apply: () => new RealDate(RealDate.now() + shiftMs).toString(),
  get: (target, name, receiver) => (name === 'now' ? () => RealDate.now() + shiftMs : Reflect.get(target, name, receiver)),
});

process.on('shift clock' as never, (ms: number) => {
  shiftMs = ms;
});

export {};
