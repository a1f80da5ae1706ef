// SPDX-License-Identifier: MIT
// gguf-fuse-probe INDEX NAME DOT: whether a dot product works on a device. Writes "ok" or what is wrong. The library
// runs it in place of itself, because the driver's compiler may end the process.
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <system_error>

#include "../src/probe.hpp"

namespace {

using namespace gguf_fuse;
using namespace gguf_fuse::kernels;

Result<std::string> answer(std::string_view index, std::string_view name, std::string_view dot) {
  GGUF_FUSE_ASSIGN(const auto devices, list_devices());
  const auto wanted = dot_product_by_name(dot);
  for (const DeviceInfo& device : devices) {
    if (wanted && std::to_string(device.index) == index && device.name == name) return run_probe(device, *wanted);
  }
  return fail(Error{.code = ErrorCode::UnknownDevice, .subject = std::string(name), .actual = std::string(dot)});
}

/// Ended for want of memory or threads: no answer. The driver's compiler shares operator new with us.
constexpr int kShortage = 3;
[[noreturn]] void end_short() { _exit(kShortage); }
[[noreturn]] void end_terminated() {
  if (const std::exception_ptr exception = std::current_exception()) {
    try {
      std::rethrow_exception(exception);
    } catch (const std::bad_alloc&) {
      end_short();
    } catch (const std::system_error&) {
      end_short();
    } catch (...) {
    }
  }
  std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);  // a crash is an answer, nothing to keep
  std::set_new_handler(end_short);
  std::set_terminate(end_terminated);
  const auto found = answer(argv[1], argv[2], argv[3]);
  const std::string text = !found ? found.error().message() : found->empty() ? "ok" : *found;
  const bool written = ::write(STDOUT_FILENO, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  return found && written ? 0 : 1;
}
