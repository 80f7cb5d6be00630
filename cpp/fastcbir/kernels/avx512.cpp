// AVX-512 F, BW, DQ and VL; bytes are widened to 16 bits, since multiplying them directly needs VNNI.
#include <immintrin.h>

#include "fastcbir/kernels/tables.hpp"

namespace fastcbir::kernels {
namespace {

#include "fastcbir/kernels/generic.inc"
#include "fastcbir/kernels/generic_bytes.inc"
#include "fastcbir/kernels/generic_float.inc"
#include "fastcbir/kernels/avx512_lanes.inc"

template <class Number>
struct ByteLanes {
  using Vec = __m512i;
  using Part = __m512i;
  static constexpr std::size_t part_bytes = 32;
  static constexpr bool is_signed = Number(-1) < Number(0);
  template <bool norm>
  struct Shape {
    static constexpr std::size_t group = 8;
    static constexpr std::size_t tile_queries = 4;
    static constexpr std::size_t tile_rows = 4;
  };

  static FASTCBIR_INLINE Part load(Bytes from) {
    const __m256i bytes = _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
    return is_signed ? _mm512_cvtepi8_epi16(bytes) : _mm512_cvtepu8_epi16(bytes);
  }
  static FASTCBIR_INLINE Vec add_product(Vec sum, Part a, Part b) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
  }
  static FASTCBIR_INLINE Vec add_square_difference(Vec sum, Part a, Part b) {
    const __m512i difference = _mm512_sub_epi16(a, b);
    return add_product(sum, difference, difference);
  }
  static FASTCBIR_INLINE float square_root(float value) { return root(value); }
  template <std::size_t n>
  static FASTCBIR_INLINE void sums(const Vec (&vecs)[n], std::int32_t (&out)[n]) {
    sum_all(vecs, out);
  }
};

using F32 = FloatKernels<Lanes, FloatRows>;
using F16 = FloatKernels<Lanes, HalfRows>;
using U8 = ByteKernels<ByteLanes<std::uint8_t>>;
using I8 = ByteKernels<ByteLanes<std::int8_t>>;

}  // namespace

constinit const KernelTable avx512_table = {
    "avx512",
    {{F32::l2, F32::ip, F32::cosine}, {F16::l2, F16::ip, F16::cosine}, {U8::l2, U8::ip, U8::cosine}, {I8::l2, I8::ip, I8::cosine}},
    &f32_to_f16,
    &f16_to_f32,
};

}  // namespace fastcbir::kernels
