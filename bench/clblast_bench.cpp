// SPDX-License-Identifier: MIT
// CLBlast's products of float matrices on the first OpenCL device, at the sizes of matmul_bench's F32 rows: weights
// [rows x columns] times activations [tokens x columns].
#include <CL/cl.h>
#include <benchmark/benchmark.h>
#include <clblast_c.h>

#include <string>
#include <vector>

namespace {

/// A queue on the first device; never released: drivers take themselves apart before the statics of a program do.
cl_command_queue queue() {
  static const cl_command_queue made = [] {
    cl_platform_id platform = nullptr;
    cl_device_id device = nullptr;
    clGetPlatformIDs(1, &platform, nullptr);
    clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, nullptr);
    return clCreateCommandQueue(clCreateContext(nullptr, 1, &device, nullptr, nullptr, nullptr), device, 0, nullptr);
  }();
  return made;
}

cl_mem ones(std::size_t count) {
  std::vector<float> values(count, 1.0F);
  cl_context context = nullptr;
  clGetCommandQueueInfo(queue(), CL_QUEUE_CONTEXT, sizeof context, static_cast<void*>(&context), nullptr);
  return clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, count * sizeof(float), values.data(),
                        nullptr);
}

void run(benchmark::State& state, std::size_t rows, std::size_t columns, std::size_t tokens) {
  cl_command_queue commands = queue();
  if (commands == nullptr) return state.SkipWithError("no OpenCL device");
  const cl_mem weights = ones(rows * columns);
  const cl_mem activations = ones(tokens * columns);
  const cl_mem out = ones(tokens * rows);
  const auto once = [&] {
    const CLBlastStatusCode code =
        tokens == 1
            ? CLBlastSgemv(CLBlastLayoutRowMajor, CLBlastTransposeNo, rows, columns, 1.0F, weights, 0, columns,
                           activations, 0, 1, 0.0F, out, 0, 1, &commands, nullptr)
            : CLBlastSgemm(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, tokens, rows, columns, 1.0F,
                           activations, 0, columns, weights, 0, columns, 0.0F, out, 0, rows, &commands, nullptr);
    return code == CLBlastSuccess && clFinish(commands) == CL_SUCCESS;
  };
  if (!once()) return state.SkipWithError("CLBlast failed");
  for (auto _ : state) {
    if (!once()) return state.SkipWithError("CLBlast failed");
  }
  const double flops = 2.0 * static_cast<double>(rows * columns * tokens);
  state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  for (const cl_mem memory : {weights, activations, out}) clReleaseMemObject(memory);
}

void add(std::size_t rows, std::size_t columns, std::size_t tokens) {
  const std::string name =
      "clblast/F32/" + std::to_string(rows) + "x" + std::to_string(columns) + "x" + std::to_string(tokens);
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { run(state, rows, columns, tokens); })
      ->Unit(benchmark::kMicrosecond)
      ->MeasureProcessCPUTime()
      ->UseRealTime();
}

const int kRegistered = [] {
  add(576, 1536, 512);
  add(2048, 2048, 512);
  add(8192, 4096, 1);
  return 0;
}();

}  // namespace
