/** What of a socket is needed here. */
export interface GatheringSocket {
  write(...args: unknown[]): boolean;
  cork(): void;
  uncork(): void;
}

/**
 * Lets what is written in one turn of the event loop go out together. amqplib writes every message by itself, which costs a system call here and a packet
 * there each time.
 */
export function gatherWrites(socket: GatheringSocket): void {
  const write = socket.write.bind(socket);
  let isGathering = false;
  socket.write = (...args) => {
    if (!isGathering) {
      isGathering = true;
      socket.cork();
      process.nextTick(() => {
        isGathering = false;
        socket.uncork();
      });
    }
    return write(...args);
  };
}
