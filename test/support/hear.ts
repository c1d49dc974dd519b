import { type EventName, type HoldfastEvents, subscribe } from '@holdfast/core';

/** What is told of one event from now on, in order. */
export type Hear = <Name extends EventName>(name: Name) => HoldfastEvents[Name][];

/** Ears for the tests of this file, or of this `describe`: each is closed after the test that opened it. */
export function ears(): Hear {
  const stops: (() => void)[] = [];
  afterEach(() => {
    for (const stop of stops.splice(0)) stop();
  });
  return (name) => {
    const heard: HoldfastEvents[typeof name][] = [];
    stops.push(subscribe(name, (fact) => heard.push(fact)));
    return heard;
  };
}
