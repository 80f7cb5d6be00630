// Files as the operating system has them: mapped, or replaced as a whole. Floor 4.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace fastcbir::io {

// A whole file, read-only, in memory. It stays valid when the file is replaced or unlinked meanwhile.
class MappedFile {
 public:
  // Throws std::system_error, with the path in its message.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  void* handle_ = nullptr;  // Windows only
};

// A file that appears under its name only when it is complete and on disk: written beside it under a temporary name,
// flushed, renamed over it, and the folder flushed. Until commit() the old file is untouched, and without commit() the
// temporary one is gone. All members throw std::system_error with the path in its message.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t size);
  void commit();

 private:
  [[noreturn]] void fail(const char* action, int error) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

}  // namespace fastcbir::io
