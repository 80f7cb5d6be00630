// AVX-512 with VNNI: as avx512.cpp, but bytes are multiplied as bytes.
//
// vpdpbusd adds products of unsigned with signed bytes, so one side of each product is moved by 128 (a flipped top bit)
// and the difference put right. Written for one coordinate: a, b the unsigned numbers (i8 moved up by 128), s = a - 128
// and c = b - 128 the signed ones:
//
//   (a - b)^2 = a^2 + b c - 2 (b s + 64 b)      a^2 depends on the query alone
//   u8: a b = a c + 128 a                       128 a as well
//       b^2 = b c + 128 b
//   i8: s c = b s - 128 s                       128 s as well
//       c^2 = b c - 128 c
#include <immintrin.h>

#include "fastcbir/kernels/tables.hpp"

namespace fastcbir::kernels {
namespace {

#include "fastcbir/kernels/generic.inc"
#include "fastcbir/kernels/generic_bytes.inc"
#include "fastcbir/kernels/generic_float.inc"
#include "fastcbir/kernels/avx512_lanes.inc"

FASTCBIR_INLINE __m512i move_by_128(__m512i bytes) { return _mm512_xor_si512(bytes, _mm512_set1_epi8(-128)); }

template <bool is_signed, Metric metric>
struct VnniOp {
  using Vec = __m512i;
  using Sum = std::int32_t;
  // The query on the side its products need it; l2 and i8 products multiply it as signed bytes.
  static constexpr bool signed_query = metric == Metric::l2 || is_signed;
  static constexpr bool has_norm = metric == Metric::cosine;
  static constexpr bool has_row_term = metric != Metric::ip;
  using Query = __m512i;
  struct Row {
    __m512i as_unsigned, as_signed;
  };
  struct Pair {
    Vec products;
  };
  template <bool kept, class Unused = void>
  struct Term {};
  template <class Unused>
  struct Term<true, Unused> {
    Vec squares, linear;
  };
  using RowTerm = Term<has_row_term>;
  struct Context {
    std::uint32_t query_term;
  };

  static constexpr std::size_t bytes_per_coordinate = 1;
  static constexpr std::size_t part_bytes = 64;
  static constexpr std::size_t query_part_bytes = 64;
  static constexpr std::size_t slots = 1;
  static constexpr std::size_t group = has_row_term ? 4 : 8;
  static constexpr std::size_t tile_queries = 4;
  static constexpr std::size_t tile_rows = 4;

  static FASTCBIR_INLINE __m512i load(Bytes from) { return _mm512_load_si512(from); }
  static FASTCBIR_INLINE __m512i unsigned_of(__m512i raw) { return is_signed ? move_by_128(raw) : raw; }
  static FASTCBIR_INLINE __m512i signed_of(__m512i raw) { return is_signed ? raw : move_by_128(raw); }

  static FASTCBIR_INLINE Context prepare(Bytes query, std::size_t blocks) {
    __m512i squares = _mm512_setzero_si512(), linear = _mm512_setzero_si512();
    for (std::size_t i = 0; i < blocks; ++i) {
      const __m512i raw = load(query + i * part_bytes);
      if constexpr (metric == Metric::l2) {
        squares = _mm512_dpbusd_epi32(squares, unsigned_of(raw), signed_of(raw));
        linear = _mm512_dpbusd_epi32(linear, unsigned_of(raw), _mm512_set1_epi8(1));
      } else if constexpr (is_signed) {
        linear = _mm512_dpbusd_epi32(linear, _mm512_set1_epi8(1), raw);
      } else {
        linear = _mm512_dpbusd_epi32(linear, raw, _mm512_set1_epi8(1));
      }
    }
    const std::uint32_t sum = static_cast<std::uint32_t>(sum_1(linear));
    if constexpr (metric == Metric::l2) return {static_cast<std::uint32_t>(sum_1(squares)) + 128u * sum};
    return {is_signed ? 0u - 128u * sum : 128u * sum};
  }

  static FASTCBIR_INLINE Query load_query(Bytes from) { return signed_query ? signed_of(load(from)) : load(from); }
  static FASTCBIR_INLINE Row load_row(Bytes from) {
    const __m512i raw = load(from);
    return {unsigned_of(raw), signed_of(raw)};
  }
  static FASTCBIR_INLINE void add_pair(Pair& pair, std::size_t, const Query& query, const Row& row) {
    pair.products = signed_query ? _mm512_dpbusd_epi32(pair.products, row.as_unsigned, query)
                                 : _mm512_dpbusd_epi32(pair.products, query, row.as_signed);
  }
  static FASTCBIR_INLINE void add_row(RowTerm& term, std::size_t, const Row& row) {
    if constexpr (has_row_term) {
      term.squares = _mm512_dpbusd_epi32(term.squares, row.as_unsigned, row.as_signed);
      if constexpr (metric == Metric::l2) {
        term.linear = _mm512_dpbusd_epi32(term.linear, row.as_unsigned, _mm512_set1_epi8(64));
      } else if constexpr (is_signed) {
        term.linear = _mm512_dpbusd_epi32(term.linear, _mm512_set1_epi8(1), row.as_signed);
      } else {
        term.linear = _mm512_dpbusd_epi32(term.linear, row.as_unsigned, _mm512_set1_epi8(1));
      }
    } else {
      (void)term, (void)row;
    }
  }
  static FASTCBIR_INLINE Vec close(const Pair& pair, const RowTerm& term) {
    if constexpr (metric == Metric::l2) {
      const Vec twice = _mm512_slli_epi32(_mm512_add_epi32(pair.products, term.linear), 1);
      return _mm512_sub_epi32(term.squares, twice);
    } else {
      (void)term;
      return pair.products;
    }
  }
  static FASTCBIR_INLINE Vec close_norm(const RowTerm& term) {
    const Vec moved = _mm512_slli_epi32(term.linear, 7);
    return is_signed ? _mm512_sub_epi32(term.squares, moved) : _mm512_add_epi32(term.squares, moved);
  }
  template <std::size_t n>
  static FASTCBIR_INLINE void sums(const Vec (&vecs)[n], std::int32_t (&out)[n]) {
    sum_all(vecs, out);
  }
  static FASTCBIR_INLINE float value(std::int32_t sum, std::int32_t norm, const Context& context) {
    const std::int32_t whole = static_cast<std::int32_t>(static_cast<std::uint32_t>(sum) + context.query_term);
    return byte_distance<Lanes>(metric, is_signed, whole, norm);
  }
};

using F32 = FloatKernels<Lanes, FloatRows>;
using F16 = FloatKernels<Lanes, HalfRows>;

template <bool is_signed, Metric metric>
inline constexpr DistanceKernels vnni = kernels_of<VnniOp<is_signed, metric>>;

}  // namespace

constinit const KernelTable avx512vnni_table = {
    "avx512vnni",
    {{F32::l2, F32::ip, F32::cosine},
     {F16::l2, F16::ip, F16::cosine},
     {vnni<false, Metric::l2>, vnni<false, Metric::ip>, vnni<false, Metric::cosine>},
     {vnni<true, Metric::l2>, vnni<true, Metric::ip>, vnni<true, Metric::cosine>}},
    &f32_to_f16,
    &f16_to_f32,
};

}  // namespace fastcbir::kernels
