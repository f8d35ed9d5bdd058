import { readFile } from 'node:fs/promises';

/**
 * Frequency of the host's time stamp counter in kHz, which TCG hands to guests as it is; undefined when nothing tells it.
 * The counter runs at the processor's base frequency whatever the present one, so the base frequency is asked first.
 */
export async function hostTscKhz(): Promise<number | undefined> {
  const [base, cpuInfo] = await Promise.all([
    readFile('/sys/devices/system/cpu/cpu0/cpufreq/base_frequency', 'utf8').catch(() => ''),
    readFile('/proc/cpuinfo', 'utf8').catch(() => ''),
  ]);
  return tscKhzFrom(base, cpuInfo);
}

/** The same from the files' text. */
export function tscKhzFrom(baseFrequency: string, cpuInfo: string): number | undefined {
  const candidates = [
    Number(baseFrequency),
    Number(/^model name.*@ ([\d.]+)GHz/m.exec(cpuInfo)?.[1]) * 1_000_000,
    Number(/^cpu MHz\s*:\s*([\d.]+)/m.exec(cpuInfo)?.[1]) * 1_000,
  ];
  const khz = candidates.find(value => value > 0);
  return khz === undefined ? undefined : Math.round(khz);
}
