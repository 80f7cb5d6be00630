#include "fastcbir/io/file.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <sys/stat.h>
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace fastcbir::io {
namespace {

constexpr std::size_t largest_write = std::size_t{1} << 30;

[[noreturn]] void fail(const char* action, const std::filesystem::path& path, int error) {
  throw std::system_error(error, std::generic_category(), std::string("can't ") + action + " " + path.string());
}

// Unlike any other process's or thread's.
std::filesystem::path temporary_name(const std::filesystem::path& path) {
  static std::atomic<unsigned> counter{0};
#ifdef _WIN32
  const int process = _getpid();
#else
  const int process = getpid();
#endif
  std::filesystem::path name = path;
  name += ".tmp-" + std::to_string(process) + "-" + std::to_string(counter.fetch_add(1));
  return name;
}

}  // namespace

#ifdef _WIN32

MappedFile::MappedFile(const std::filesystem::path& path) {
  const HANDLE file = CreateFileW(path.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr,
                                  OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE) fail("open", path, ENOENT);
  LARGE_INTEGER size;
  if (!GetFileSizeEx(file, &size)) {
    CloseHandle(file);
    fail("read the size of", path, EIO);
  }
  size_ = static_cast<std::size_t>(size.QuadPart);
  if (size_ > 0) {
    handle_ = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
    if (handle_ != nullptr) data_ = static_cast<const std::byte*>(MapViewOfFile(handle_, FILE_MAP_READ, 0, 0, 0));
  }
  CloseHandle(file);
  if (size_ > 0 && data_ == nullptr) {
    if (handle_ != nullptr) CloseHandle(handle_);
    fail("map", path, ENOMEM);
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) UnmapViewOfFile(data_);
  if (handle_ != nullptr) CloseHandle(handle_);
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)), temporary_(temporary_name(path_)) {
  descriptor_ = _wopen(temporary_.c_str(), _O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY, _S_IREAD | _S_IWRITE);
  if (descriptor_ < 0) fail("create", errno);
}

void AtomicFile::commit() {
  if (_commit(descriptor_) != 0) fail("flush", errno);
  if (_close(std::exchange(descriptor_, -1)) != 0) fail("close", errno);
  if (!MoveFileExW(temporary_.c_str(), path_.c_str(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)) {
    fail("rename to its place", EACCES);
  }
  temporary_.clear();
}

#else

MappedFile::MappedFile(const std::filesystem::path& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail("open", path, errno);
  struct stat status;
  int error = fstat(file, &status) == 0 ? 0 : errno;
  if (error == 0 && S_ISDIR(status.st_mode)) error = EISDIR;
  if (error == 0 && status.st_size > 0) {
    size_ = static_cast<std::size_t>(status.st_size);
    void* data = mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0);
    if (data == MAP_FAILED) {
      error = errno;
    } else {
      data_ = static_cast<const std::byte*>(data);
    }
  }
  close(file);
  if (error != 0) fail("read", path, error);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)), temporary_(temporary_name(path_)) {
  descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("create", errno);
}

void AtomicFile::commit() {
  if (fsync(descriptor_) != 0) fail("flush", errno);
  if (close(std::exchange(descriptor_, -1)) != 0) fail("close", errno);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename to its place", errno);
  temporary_.clear();
  // The new name survives a power cut only once the folder is on disk too. Some file systems can't do that: no error.
  const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
  if (const int descriptor = open(folder.c_str(), O_RDONLY | O_CLOEXEC); descriptor >= 0) {
    fsync(descriptor);
    close(descriptor);
  }
}

#endif

AtomicFile::~AtomicFile() {
#ifdef _WIN32
  if (descriptor_ >= 0) _close(descriptor_);
#else
  if (descriptor_ >= 0) close(descriptor_);
#endif
  if (!temporary_.empty()) {
    std::error_code ignored;
    std::filesystem::remove(temporary_, ignored);
  }
}

void AtomicFile::write(const void* data, std::size_t size) {
  const auto* at = static_cast<const std::byte*>(data);
  while (size > 0) {
    const std::size_t part = std::min(size, largest_write);
#ifdef _WIN32
    const int written = _write(descriptor_, at, static_cast<unsigned>(part));
#else
    const ssize_t written = ::write(descriptor_, at, part);
    if (written < 0 && errno == EINTR) continue;
#endif
    if (written < 0) fail("write", errno);
    at += written;
    size -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::fail(const char* action, int error) const { io::fail(action, path_, error); }

}  // namespace fastcbir::io
