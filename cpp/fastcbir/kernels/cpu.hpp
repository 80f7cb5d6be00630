// What this processor *and* its operating system allow. Floor 1; compiled for the baseline, never inside an island.
#pragma once

namespace fastcbir::kernels {

// Each is true only if a table of that name may run here: the instructions exist and the system saves their registers.
struct CpuSupport {
  bool avx2 = false;        // AVX2, FMA and F16C
  bool avx512 = false;      // AVX-512 F, BW, DQ and VL
  bool avx512vnni = false;  // the same and AVX-512 VNNI
  bool avx512vbmi = false;  // the same and AVX-512 VBMI
  bool neon = false;        // aarch64's baseline
};

CpuSupport cpu_support();

}  // namespace fastcbir::kernels
