// The .fcx file format, version 1. Floor 4. docs/format.md says the same in prose.
//
//   offset 0      Header, 64 bytes
//   offset 64     SectionEntry, 32 bytes each, section_count of them
//   then          sections, each beginning on a multiple of 64 bytes, in the order of the table
//
// All numbers are little-endian. Sections are laid out as the memory of the running index, so that a mapped file is
// searched where it lies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace fastcbir::io {

inline constexpr char magic[8] = {'F', 'C', 'X', 'I', 'N', 'D', 'E', 'X'};
inline constexpr std::uint32_t format_version = 1;
inline constexpr std::size_t section_alignment = 64;
inline constexpr std::size_t max_sections = 64;

enum class IndexKind : std::uint32_t { flat = 1, hnsw = 2, ivf = 3, imi = 4 };

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t kind;          // IndexKind
  std::uint64_t file_size;     // of the whole file, in bytes
  std::uint64_t vector_count;  // rows, those of removed vectors included
  std::uint32_t dim;
  std::uint8_t metric;       // Metric
  std::uint8_t scalar_type;  // ScalarType
  std::uint16_t section_count;
  std::uint64_t next_id;          // what the next vector added without an id gets
  std::uint64_t table_checksum;   // XXH64 of the section table
  std::uint64_t header_checksum;  // XXH64 of the 56 bytes before
};
static_assert(sizeof(Header) == 64);

// Four letters, as they stand in the file.
constexpr std::uint32_t tag(const char (&name)[5]) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(name[i]);
  return value;
}

struct SectionEntry {
  std::uint32_t tag;
  std::uint32_t reserved;  // 0
  std::uint64_t offset;
  std::uint64_t size;
  std::uint64_t checksum;  // XXH64 of the section
};
static_assert(sizeof(SectionEntry) == 32);

inline constexpr std::uint32_t rows_tag = tag("ROWS");          // vector_count rows, padded to 64 bytes each
inline constexpr std::uint32_t ids_tag = tag("IDS ");           // i64 a row; absent: ids are 0, 1, 2, ...
inline constexpr std::uint32_t dead_tag = tag("DEAD");          // a bit a row, 1 if removed; absent: none is
inline constexpr std::uint32_t hnsw_params_tag = tag("HNSW");   // HnswSection
inline constexpr std::uint32_t links_tag = tag("LNK0");         // level-0 link blocks
inline constexpr std::uint32_t levels_tag = tag("LEVL");        // u8 a node: its top level
inline constexpr std::uint32_t upper_begins_tag = tag("UBEG");  // u32 a node: its first block in LNKU
inline constexpr std::uint32_t upper_tag = tag("LNKU");         // link blocks of the upper levels

inline constexpr std::uint32_t stop_tag = tag("STOP");  // StopModel (stop/stop_model.cpp); absent: none was learned
inline constexpr std::uint32_t shadow_tag =
    tag("SHAD");  // ShadowLedger (stop/shadow.cpp); absent: nothing was measured

inline constexpr std::uint32_t packed_tag = tag("PACK");  // PackedSection; absent: no codes in LNK0

struct PackedSection {
  std::uint32_t planes;  // bits a dimension
  float unit;            // what the blocks' factors are multiples of
  std::uint64_t seed;    // of the rotation
};
static_assert(sizeof(PackedSection) == 16);

inline constexpr std::uint32_t ivf_params_tag = tag("IVF ");        // IvfSection
inline constexpr std::uint32_t centroids_tag = tag("CEN1");         // rows: centroids, or those of the first half
inline constexpr std::uint32_t second_centroids_tag = tag("CEN2");  // rows: centroids of the second half
inline constexpr std::uint32_t lists_tag = tag("LIST");             // ListExtent (storage/lists.hpp) a list
inline constexpr std::uint32_t list_blocks_tag = tag("LBLK");       // blocks of 32: codes, then node numbers

inline constexpr std::uint32_t reach_tag = tag("REAC");    // ReachSection; absent: 1
inline constexpr std::uint32_t product_tag = tag("PROD");  // ProductSection; absent: no product codes in LBLK
inline constexpr std::uint32_t books_tag = tag("BOOK");    // f32: the codebooks (storage/product_codec.hpp)

struct ReachSection {
  float reach;  // what centroids are multiplied with before codes of differences to them are made
  std::uint32_t reserved;
};
static_assert(sizeof(ReachSection) == 8);

struct ProductSection {
  std::uint32_t parts;  // bytes a vector
  std::uint32_t reserved;
};
static_assert(sizeof(ProductSection) == 8);

struct IvfSection {
  std::uint32_t nlist;     // as asked for; 0: chosen
  std::uint32_t imi_bits;  // 0: a plain inverted file
  std::uint32_t code_bits;
  float unit;                // what the codes' factors are multiples of
  std::uint64_t seed;        // of the rotation too
  std::uint64_t trained_on;  // vectors there were when the lists were made
  std::uint64_t centroids;   // of each codebook; 0: not trained
};
static_assert(sizeof(IvfSection) == 40);

struct HnswSection {
  std::uint32_t m;
  std::uint32_t ef_construction;
  std::uint32_t keep_pruned;
  std::uint32_t entry;
  std::uint64_t seed;
};
static_assert(sizeof(HnswSection) == 24);

// A file that is not what it should be; the message names the file, what was expected and what was found.
struct FormatError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace fastcbir::io
