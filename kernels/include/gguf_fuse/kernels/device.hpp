// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/kernels/buffer.hpp"
#include "gguf_fuse/kernels/log.hpp"
#include "gguf_fuse/kernels/profile.hpp"
#include "gguf_fuse/kernels/program.hpp"
#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::kernels {

namespace detail {
struct OpenCl;
}

enum class DeviceType : std::uint8_t { Cpu, Gpu, Accelerator };

/// One device of one platform, as its driver describes it.
struct DeviceInfo {
  std::size_t index = 0;  ///< in list_devices()
  std::string platform{};
  std::string name{};
  std::string vendor{};
  std::string driver{};   ///< version of the driver
  std::string version{};  ///< of OpenCL, e.g. "OpenCL 3.0 PoCL HSTR: ..."
  DeviceType type = DeviceType::Cpu;
  unsigned compute_units = 0;
  std::uint64_t global_bytes = 0;
  std::uint64_t max_buffer_bytes = 0;  ///< of one buffer
  std::uint64_t local_bytes = 0;       ///< of one work-group
  std::uint64_t alignment = 0;         ///< bytes to which buffers, and so sub-buffers, are aligned
  std::size_t max_work_group = 0;      ///< work-items
  std::string extensions{};            ///< separated by spaces
  bool half_arithmetic = false;        ///< cl_khr_fp16
  bool packed_dot_product = false;     ///< cl_khr_integer_dot_product with the packed 4x8-bit form
  bool unified_memory = false;         ///< shares the host's memory
  const OpenCl* opencl = nullptr;      ///< the library it was found in
  void* platform_id = nullptr;         ///< cl_platform_id
  void* device_id = nullptr;           ///< cl_device_id

  /// Whether the driver lists the extension.
  [[nodiscard]] GGUF_FUSE_EXPORT bool has_extension(std::string_view extension) const;
};

/// Every device of every platform, in the order of the drivers. A platform that fails is left out as long as another
/// one works. The library is libOpenCL.so.1, or what $GGUF_FUSE_OPENCL_LIBRARY names. Errors: NoOpenCl, NoDevice,
/// OpenClFailed.
[[nodiscard]] GGUF_FUSE_EXPORT Result<std::vector<DeviceInfo>> list_devices();

/// Those that `wanted` names, in its order and each once: a comma-separated list of indices and parts of device or
/// platform names (any case; a part stands for every device it fits). Errors: UnknownDevice, NoDevice.
[[nodiscard]] GGUF_FUSE_EXPORT Result<std::vector<DeviceInfo>> select_devices(std::span<const DeviceInfo> devices,
                                                                              std::string_view wanted);

/// The device used when nothing was said: the first GPU, else the first one. Errors: NoDevice.
[[nodiscard]] GGUF_FUSE_EXPORT Result<DeviceInfo> default_device(std::span<const DeviceInfo> devices);

/// $XDG_CACHE_HOME/gguf-fuse or ~/.cache/gguf-fuse; empty when neither can be told.
[[nodiscard]] GGUF_FUSE_EXPORT std::string default_cache_folder();

/// How far the compiler is, for whoever shows it; several devices may share one. Programs from the cache do not count.
struct BuildCount {
  std::atomic<std::uint32_t> begun{0};     ///< programs that the compiler was given
  std::atomic<std::uint32_t> finished{0};  ///< of these; the others are being compiled now
};

struct DeviceOptions {
  std::optional<Style> style{};                       ///< overrides the profile
  std::optional<DotProduct> dot{};                    ///< overrides the profile, and is not probed
  std::string cache_folder = default_cache_folder();  ///< empty: no cache
  Log log{};
  bool profiling = false;  ///< collects timings(), at some cost a launch
  /// At most so many compute units of a CPU device run kernels, where its driver can divide it (else that is logged);
  /// 0: all. GPUs are not divided.
  unsigned compute_units = 0;
  BuildCount* builds = nullptr;  ///< counted up while programs are built; outlives the device
};

/// Times of one kernel on the device, without the time in the queue.
struct KernelTiming {
  std::string kernel;
  std::uint64_t launches = 0;
  std::uint64_t nanoseconds = 0;
};

/// A place in a device's queue.
class GGUF_FUSE_EXPORT Marker {
 public:
  struct State;
  explicit Marker(std::unique_ptr<State> state);
  Marker(Marker&& other) noexcept;
  Marker& operator=(Marker&& other) noexcept;
  ~Marker();

  /// Waits until everything that was enqueued before it has run; at once for one that was moved from. Errors:
  /// OpenClFailed.
  [[nodiscard]] Result<void> wait() const;

 private:
  std::unique_ptr<State> state_;
};

/// An open device: a context, one in-order queue, programs and memory. Buffers, programs and launches keep what they
/// need of it alive. Its functions may be called by several threads.
class GGUF_FUSE_EXPORT Device {
 public:
  /// `info` comes from list_devices(). Errors: InvalidArgument (it does not), OpenClFailed.
  [[nodiscard]] static Result<std::shared_ptr<Device>> open(const DeviceInfo& info, DeviceOptions options = {});
  explicit Device(std::shared_ptr<DeviceCore> core);
  ~Device();

  [[nodiscard]] const DeviceInfo& info() const;
  [[nodiscard]] const DeviceProfile& profile() const;
  /// As opened with; may be empty.
  [[nodiscard]] const std::string& cache_folder() const;

  /// `bytes` bytes of undefined content; none is fine too. Errors: BufferTooLarge, OutOfDeviceMemory, OpenClFailed.
  [[nodiscard]] Result<Buffer> allocate(std::uint64_t bytes, Access access = Access::ReadWrite) const;
  /// Bytes of all buffers on this device, of this process.
  [[nodiscard]] std::uint64_t allocated_bytes() const;
  /// Whether allocate() of this device made the buffer.
  [[nodiscard]] bool owns(const Buffer& buffer) const;

  /// Built, found in the cache, or the one of an earlier call with an equal specification. Errors: KernelBuildFailed
  /// (also for an embedded file that is missing or includes itself), OpenClFailed.
  [[nodiscard]] Result<std::shared_ptr<Program>> program(const ProgramSpec& spec);
  /// program() of each, built by several threads. The first error in order.
  [[nodiscard]] Result<std::vector<std::shared_ptr<Program>>> programs(std::span<const ProgramSpec> specs);
  /// How many programs this device has, and how many of them were found in the cache.
  struct ProgramCount {
    std::size_t all = 0;
    std::size_t cached = 0;
  };
  [[nodiscard]] ProgramCount program_count() const;
  /// Writes new programs to the cache. Best after every kernel ran once: some drivers finish the machine code only
  /// then. Happens by itself when a program is destroyed; a failure is logged and is no error.
  void save_programs();

  /// Waits for everything enqueued.
  [[nodiscard]] Result<void> finish() const;
  /// Sees to it that everything enqueued will run without a finish().
  [[nodiscard]] Result<void> flush() const;
  /// A flush(), and a place to wait for behind what is enqueued so far. Errors: OpenClFailed.
  [[nodiscard]] Result<Marker> mark() const;

  /// Totals since the device was opened, by kernel name; waits for what is enqueued. Empty unless opened with
  /// profiling.
  [[nodiscard]] Result<std::vector<KernelTiming>> timings() const;

 private:
  friend class Uploader;
  struct Programs;
  std::shared_ptr<DeviceCore> core_;
  std::unique_ptr<Programs> programs_;
};

}  // namespace gguf_fuse::kernels
