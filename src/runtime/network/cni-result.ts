import {z} from 'zod';

const ADDRESSES_MAX = 64;

const result = z.looseObject({
  interfaces: z
    .array(z.looseObject({name: z.string(), sandbox: z.string().optional()}))
    .default([]),
  ips: z
    .array(z.looseObject({address: z.string(), interface: z.number().optional()}))
    .max(ADDRESSES_MAX)
    .default([]),
});

/**
 * The sandbox's own addresses without prefix lengths, in the plugins' order (CNI 1.1.0 §5,
 * "Success"): those of an interface inside the sandbox, or of no named interface.
 */
export function sandboxAddresses(value: unknown): readonly string[] {
  const {interfaces, ips} = result.parse(value);
  const inside = ips.filter(({interface: index}) => {
    if (index === undefined) return true;
    const sandbox = interfaces[index]?.sandbox;
    return sandbox !== undefined && sandbox !== '';
  });
  return inside.map(({address}) => address.replace(/\/\d+$/, ''));
}
