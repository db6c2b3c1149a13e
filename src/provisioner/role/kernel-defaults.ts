/**
 * Kernel settings that the kubelet sets, or, with `protectKernelDefaults`, refuses to start without
 * (kubelet 1.36 `cm/container_manager_linux.go`, `setupKernelTunables`).
 */
export const KUBELET_KERNEL_DEFAULTS: Readonly<Record<string, string>> = {
  'kernel.keys.root_maxbytes': '25000000',
  'kernel.keys.root_maxkeys': '1000000',
  'kernel.panic': '10',
  'kernel.panic_on_oops': '1',
  'vm.overcommit_memory': '1',
  'vm.panic_on_oom': '0',
};
