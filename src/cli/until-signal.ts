/** For commands that go on until Ctrl-C: `reached` resolves with SIGINT or SIGTERM; `forget` stops listening. */
export function untilSignal(): { readonly reached: Promise<void>; readonly forget: () => void } {
  const signals = ['SIGINT', 'SIGTERM'] as const;
  let ended: () => void = () => undefined;
  const reached = new Promise<void>(resolve => {
    ended = resolve;
  });
  for (const signal of signals) process.on(signal, ended);
  return {
    reached,
    forget: () => {
      for (const signal of signals) process.off(signal, ended);
    },
  };
}
