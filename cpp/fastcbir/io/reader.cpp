#include "fastcbir/io/reader.hpp"

#include <cstring>

#include "fastcbir/core/types.hpp"
#include "fastcbir/io/checksum.hpp"

namespace fastcbir::io {
namespace {

std::string tag_name(std::uint32_t tag) {
  std::string name(4, ' ');
  std::memcpy(name.data(), &tag, 4);
  return name;
}

}  // namespace

Reader::Reader(const std::filesystem::path& path, bool verify)
    : name_(path.string()), file_(std::make_shared<const MappedFile>(path)) {
  const std::span<const std::byte> bytes = file_->bytes();
  if (bytes.size() < sizeof(Header) || std::memcmp(bytes.data(), magic, sizeof(magic)) != 0) {
    fail("is no .fcx file: it does not begin with the letters FCXINDEX and a header of 64 bytes");
  }
  std::memcpy(&header_, bytes.data(), sizeof(Header));
  if (header_.version > format_version) {
    fail("has format version " + std::to_string(header_.version) + ", this fastcbir reads up to version " +
         std::to_string(format_version) + "; install a newer fastcbir");
  }
  if (header_.header_checksum != xxh64(&header_, offsetof(Header, header_checksum))) {
    fail("is damaged: its header does not match its checksum");
  }
  if (header_.file_size != bytes.size()) {
    fail("is " + std::string(bytes.size() < header_.file_size ? "truncated" : "too long") + ": it has " +
         std::to_string(bytes.size()) + " bytes, its header says " + std::to_string(header_.file_size));
  }
  const std::size_t table_bytes = header_.section_count * sizeof(SectionEntry);
  if (header_.section_count > max_sections || sizeof(Header) + table_bytes > bytes.size()) {
    fail("is damaged: a table of " + std::to_string(header_.section_count) + " sections does not fit");
  }
  table_.resize(header_.section_count);
  if (table_bytes > 0) std::memcpy(table_.data(), bytes.data() + sizeof(Header), table_bytes);
  if (header_.table_checksum != xxh64(table_.data(), table_bytes)) {
    fail("is damaged: its section table does not match its checksum");
  }
  std::size_t end = sizeof(Header) + table_bytes;
  for (const SectionEntry& entry : table_) {
    if (entry.offset % section_alignment != 0 || entry.offset < end || entry.offset > bytes.size() ||
        entry.size > bytes.size() - entry.offset) {
      fail("is damaged: section " + tag_name(entry.tag) + " lies outside of it");
    }
    end = entry.offset + entry.size;
  }
  if (!verify) return;
  for (const SectionEntry& entry : table_) {
    if (xxh64(bytes.data() + entry.offset, entry.size) != entry.checksum) {
      fail("is damaged: section " + tag_name(entry.tag) + " does not match its checksum");
    }
  }
}

AlignedBuffer Reader::section(std::uint32_t tag, std::size_t size, bool mapped) const {
  const SectionEntry* entry = find(tag);
  if (entry == nullptr) fail("is damaged: section " + tag_name(tag) + " is absent");
  if (entry->size != size) {
    fail("is damaged: section " + tag_name(tag) + " has " + std::to_string(entry->size) + " bytes, expected " +
         std::to_string(size));
  }
  return buffer_of(*entry, mapped);
}

AlignedBuffer Reader::section(std::uint32_t tag, bool mapped) const {
  const SectionEntry* entry = find(tag);
  return entry == nullptr ? AlignedBuffer{} : buffer_of(*entry, mapped);
}

void Reader::fail(const std::string& why) const { throw FormatError(name_ + " " + why); }

const SectionEntry* Reader::find(std::uint32_t tag) const {
  for (const SectionEntry& entry : table_) {
    if (entry.tag == tag) return &entry;
  }
  return nullptr;
}

AlignedBuffer Reader::buffer_of(const SectionEntry& entry, bool mapped) const {
  const std::span<const std::byte> bytes = file_->bytes().subspan(entry.offset, entry.size);
  if (mapped) return AlignedBuffer::borrow(bytes, file_);
  AlignedBuffer buffer;
  buffer.resize(bytes.size());
  if (!bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
  return buffer;
}

}  // namespace fastcbir::io
