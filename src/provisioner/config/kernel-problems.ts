import {KUBELET_KERNEL_DEFAULTS} from '../role/kernel-defaults.ts';
import {readPart} from './check-shape.ts';
import {sysctlsSchema} from './cluster-schema.ts';
import {kubeletConfig} from './kubelet-config.ts';
import {problemAt, type Problem} from './problem.ts';
import type {ClusterFile} from './resolve-cluster.ts';

/** Kernel settings of cluster.yaml with which a kubelet that protects its own would not start. */
export function findKernelProblems(file: ClusterFile): readonly Problem[] {
  const kubelet = readPart(file.checked, kubeletConfig.default({}), ['spec', 'kubelet', 'config']);
  const sysctls = readPart(file.checked, sysctlsSchema, ['spec', 'os', 'sysctls']);
  if (kubelet?.['protectKernelDefaults'] !== true) return [];
  return Object.entries(sysctls ?? {}).flatMap(([key, value]) => {
    const wanted = KUBELET_KERNEL_DEFAULTS[key.replaceAll('/', '.')];
    if (wanted === undefined || wanted === String(value)) return [];
    const problem = {
      code: 'ERR_CONFIG_VALUE',
      message: `spec.kubelet.config.protectKernelDefaults wants ${wanted}, found ${value}`,
      hint: 'remove one of them',
    } as const;
    return [problemAt({...file, path: ['spec', 'os', 'sysctls', key]}, problem)];
  });
}
