// A stand-in for libedgetpu.so.1: its documented C interface (edgetpu_c.h) and the two entry points of an external
// TFLite delegate, without any hardware behind them. It is for tests, and never part of what is installed.
//
// An operator "edgetpu-custom-op" is run by a function that the process registers; in one that registered none, which may
// be a child of a test, by standin_kernel.py. What it does is told by the environment and by files in a folder, which
// other processes may change at any time:
//   STANDIN_EDGETPU_FOLDER    the folder. Its file "devices" has the devices in the order of enumeration:
//                             "usb=/sys/bus/usb/devices/1-2,pci=/dev/apex_0"; NAME is the last part of such a path
//     NAME.gone               while it is there, the device is not
//     NAME.fault              what is to go wrong, with a number N:
//       abort N               at its Nth inference in this process (from 1), libedgetpu ends the process; once
//       hang N                the inference does not end; once
//       vanish N              the device goes (NAME.gone is made); over USB libedgetpu ends the process, as it does there
//       fail N                the inference fails, as over PCIe; once
//       slow N                every inference takes N ms longer
//       shape N               from the Nth on, an output has another shape
//       open N                the next N attempts to open it fail
//   STANDIN_EDGETPU_KERNEL    standin_kernel.py, for processes that register no function
//   STANDIN_EDGETPU_VERSION   what edgetpu_version says
//   STANDIN_EDGETPU_LOCKS     a folder for a lock file per device: a device belongs to one process at a time
//   STANDIN_EDGETPU_REORDER   if set, devices that are open are enumerated after the others, as over USB
//   STANDIN_EDGETPU_CRASH     if set, the process dies as it does with a library that was built for another TFLite
//
// The structures are those of TFLite's documented delegate interface (core/c/common.h), as far as they are used here.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

typedef struct {
  int size;
  int data[];
} IntArray;

typedef struct {
  int type;
  void* data;
  IntArray* dims;
  struct {
    float scale;
    int32_t zero_point;
  } params;
  int allocation_type;
  size_t bytes;
  const void* allocation;
  const char* name;
  void* delegate;
  int buffer_handle;
  bool data_is_stale;
  bool is_variable;
  struct {
    int type;
    void* params;
  } quantization;
  void* sparsity;
  const IntArray* dims_signature;
} Tensor;

typedef struct {
  IntArray* inputs;
  IntArray* outputs;
  IntArray* intermediates;
  IntArray* temporaries;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
  void* delegate;
  bool might_have_side_effect;
} Node;

typedef struct Context Context;

typedef struct {
  void* (*init)(Context*, const char*, size_t);
  void (*free)(Context*, void*);
  int (*prepare)(Context*, Node*);
  int (*invoke)(Context*, Node*);
  const char* (*profiling_string)(const Context*, const Node*);
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* registration_external;
  void* async_kernel;
  uint64_t inplace_operator;
} Registration;

typedef struct Delegate {
  void* data;
  int (*Prepare)(Context*, struct Delegate*);
  void* copy_from_buffer_handle;
  void* copy_to_buffer_handle;
  void* free_buffer_handle;
  int64_t flags;
  void* opaque_delegate_builder;
} Delegate;

struct Context {
  size_t tensors_size;
  int (*GetExecutionPlan)(Context*, IntArray**);
  Tensor* tensors;
  void* impl;
  int (*ResizeTensor)(Context*, Tensor*, IntArray*);
  void (*ReportError)(Context*, const char*, ...);
  int (*AddTensors)(Context*, int, int*);
  int (*GetNodeAndRegistration)(Context*, int, Node**, Registration**);
  int (*ReplaceNodeSubsetsWithDelegateKernels)(Context*, Registration, const IntArray*, Delegate*);
};

typedef struct {
  Delegate* delegate;
  IntArray* nodes_to_replace;
  IntArray* input_tensors;
  IntArray* output_tensors;
} DelegateParams;

enum edgetpu_device_type { EDGETPU_APEX_PCI = 0, EDGETPU_APEX_USB = 1 };

struct edgetpu_device {
  enum edgetpu_device_type type;
  const char* path;
};

struct edgetpu_option {
  const char* name;
  const char* value;
};

enum { MOST_DEVICES = 32, LONGEST = 256, LONG = 4096 };

typedef struct {
  enum edgetpu_device_type type;
  char path[LONGEST];
  int lock;
  int users;
  int runs;
} Open;

static Open opened[MOST_DEVICES];

typedef int (*Kernel)(const char* path, const char* model, size_t model_bytes, const void** inputs, int input_count,
                      void** outputs, int output_count);
static Kernel kernel;

void standin_set_kernel(Kernel function) { kernel = function; }

int standin_users(const char* path) {
  for (int i = 0; i < MOST_DEVICES; i++)
    if (opened[i].users && !strcmp(opened[i].path, path)) return opened[i].users;
  return 0;
}

static const char* base_of(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

// The name of a file of the stand-in's folder: "devices", or one of a device with a suffix.
static void file_of(char* file, const char* path, const char* suffix) {
  const char* folder = getenv("STANDIN_EDGETPU_FOLDER");
  snprintf(file, LONG, "%s/%s%s", folder ? folder : "/nowhere", base_of(path), suffix);
}

static bool is_there(const char* path) {
  char file[LONG];
  file_of(file, path, ".gone");
  return access(file, F_OK) != 0;
}

static int enumerate(struct edgetpu_device* devices, char (*paths)[LONGEST]) {
  char list[LONG] = "", text[LONG], file[LONG];
  file_of(file, "devices", "");
  FILE* stream = fopen(file, "r");
  if (stream) {
    if (!fgets(list, sizeof list, stream)) *list = 0;
    fclose(stream);
  }
  int count = 0;
  for (int turn = 0; turn < 2; turn++) {
    snprintf(text, sizeof text, "%s", list);
    char* rest;
    for (char* item = strtok_r(text, ",\n", &rest); item; item = strtok_r(NULL, ",\n", &rest)) {
      const char* path = strchr(item, '=');
      if (!path || count == MOST_DEVICES || !is_there(path + 1)) continue;
      bool later = getenv("STANDIN_EDGETPU_REORDER") && standin_users(path + 1);
      if (later != (turn == 1)) continue;
      snprintf(paths[count], LONGEST, "%s", path + 1);
      devices[count].type = strncmp(item, "pci", 3) ? EDGETPU_APEX_USB : EDGETPU_APEX_PCI;
      devices[count].path = paths[count];
      count++;
    }
  }
  return count;
}

// What is to go wrong with a device, and its number; empty if nothing.
static int fault_of(const char* path, char* fault) {
  char file[LONG];
  int number = 0;
  *fault = 0;
  file_of(file, path, ".fault");
  FILE* stream = fopen(file, "r");
  if (!stream) return 0;
  if (fscanf(stream, "%31s %d", fault, &number) < 1) *fault = 0;
  fclose(stream);
  return number;
}

static void forget_fault(const char* path) {
  char file[LONG];
  file_of(file, path, ".fault");
  unlink(file);
}

static bool fails_to_open(const char* path) {
  char fault[32], file[LONG];
  int left = fault_of(path, fault);
  if (strcmp(fault, "open") || left < 1) return false;
  file_of(file, path, ".fault");
  FILE* stream = fopen(file, "w");
  if (stream) {
    fprintf(stream, "open %d", left - 1);
    fclose(stream);
  }
  return true;
}

struct edgetpu_device* edgetpu_list_devices(size_t* num_devices) {
  struct {
    struct edgetpu_device devices[MOST_DEVICES];
    char paths[MOST_DEVICES][LONGEST];
  }* found = calloc(1, sizeof *found);
  *num_devices = enumerate(found->devices, found->paths);
  if (*num_devices) return found->devices;
  free(found);
  return NULL;
}

void edgetpu_free_devices(struct edgetpu_device* devices) { free(devices); }

void edgetpu_verbosity(int verbosity) { (void)verbosity; }

const char* edgetpu_version(void) {
  const char* version = getenv("STANDIN_EDGETPU_VERSION");
  return version ? version : "BuildLabel(COMPILER=12.2.0,DATE=Jan 01 2025,TIME=00:00:00), RuntimeVersion(14)";
}

static int runtime_version(void) {
  const char* number = strstr(edgetpu_version(), "RuntimeVersion(");
  return number ? atoi(number + strlen("RuntimeVersion(")) : 0;
}

// A device is shared within a process, and locked against all others.
static Open* open_device(enum edgetpu_device_type type, const char* path) {
  Open* empty = NULL;
  for (int i = 0; i < MOST_DEVICES; i++) {
    if (opened[i].users && !strcmp(opened[i].path, path)) {
      opened[i].users++;
      return &opened[i];
    }
    if (!opened[i].users && !empty) empty = &opened[i];
  }
  if (!empty || fails_to_open(path)) return NULL;
  int lock = -1;
  const char* folder = getenv("STANDIN_EDGETPU_LOCKS");
  if (folder) {
    char file[LONG];
    snprintf(file, sizeof file, "%s/%s", folder, base_of(path));
    lock = open(file, O_CREAT | O_RDWR, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB)) {
      if (lock >= 0) close(lock);
      return NULL;
    }
  }
  empty->type = type, empty->lock = lock, empty->users = 1, empty->runs = 0;
  snprintf(empty->path, LONGEST, "%s", path);
  return empty;
}

static void close_device(Open* device) {
  if (--device->users == 0 && device->lock >= 0) close(device->lock);
}

typedef struct {
  Open* device;
  const char* model;
  size_t model_bytes;
  int required;
  IntArray *inputs, *outputs;
} Package;

// "STANDIN" and the required runtime version in one byte, then the segment as it was before it was compiled.
static void* init(Context* context, const char* buffer, size_t length) {
  (void)length;
  const DelegateParams* params = (const DelegateParams*)buffer;
  Node* node;
  Registration* registration;
  if (context->GetNodeAndRegistration(context, params->nodes_to_replace->data[0], &node, &registration)) return NULL;
  if (node->custom_initial_data_size < 8 || memcmp(node->custom_initial_data, "STANDIN", 7)) return NULL;
  Package* package = calloc(1, sizeof *package);
  package->device = params->delegate->data;
  package->required = ((const uint8_t*)node->custom_initial_data)[7];
  package->model = (const char*)node->custom_initial_data + 8;
  package->model_bytes = node->custom_initial_data_size - 8;
  package->inputs = node->inputs, package->outputs = node->outputs;
  return package;
}

static void release(Context* context, void* buffer) {
  (void)context;
  free(buffer);
}

static int prepare(Context* context, Node* node) {
  const Package* package = node->user_data;
  if (!package) {
    context->ReportError(context, "Failed to prepare a custom op.");
    return 1;
  }
  if (package->required > runtime_version()) {
    context->ReportError(context,
                         "Failed precondition: Package requires runtime version (%d), which is newer than this "
                         "runtime version (%d).",
                         package->required, runtime_version());
    return 1;
  }
  return 0;
}

static bool is_attached(const char* path) {
  struct edgetpu_device devices[MOST_DEVICES];
  char paths[MOST_DEVICES][LONGEST];
  int found = enumerate(devices, paths);
  for (int i = 0; i < found; i++)
    if (!strcmp(paths[i], path)) return true;
  return false;
}

// Over USB, libedgetpu ends its process on a failed transfer.
static int transfer_failed(Context* context, const Open* device) {
  if (device->type == EDGETPU_APEX_USB) {
    fprintf(stderr, "F driver/usb/usb_driver.cc:857] transfer on tag 1 failed. Abort. (stand-in)\n");
    abort();
  }
  context->ReportError(context, "Unable to transfer to the device.");
  return 1;
}

static void find_kernel(void) {
  const char* file = getenv("STANDIN_EDGETPU_KERNEL");
  int (*ensure)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "PyGILState_Ensure");
  void (*release_lock)(int) = (void (*)(int))dlsym(RTLD_DEFAULT, "PyGILState_Release");
  int (*run)(const char*) = (int (*)(const char*))dlsym(RTLD_DEFAULT, "PyRun_SimpleString");
  Dl_info self;
  if (!file || !ensure || !release_lock || !run || !dladdr((void*)find_kernel, &self)) return;
  char code[2 * LONG];
  snprintf(code, sizeof code, "import runpy; runpy.run_path('%s')['register']('%s')", file, self.dli_fname);
  int state = ensure();
  run(code);
  release_lock(state);
}

// Does what the device's fault says, and returns whether the inference failed of it.
static int suffer(Context* context, const Package* package) {
  Open* device = package->device;
  char fault[32], gone[LONG];
  int number = fault_of(device->path, fault);
  device->runs++;
  if (!strcmp(fault, "slow")) usleep(1000 * number);
  if (!strcmp(fault, "slow") || !strcmp(fault, "shape") || !strcmp(fault, "open") || !*fault) return 0;
  if (device->runs < number) return 0;
  forget_fault(device->path);
  if (!strcmp(fault, "abort")) {
    fprintf(stderr, "F driver/usb/usb_driver.cc:857] transfer on tag 1 failed. Abort. (stand-in)\n");
    abort();
  }
  if (!strcmp(fault, "hang")) pause();
  if (!strcmp(fault, "vanish")) {
    file_of(gone, device->path, ".gone");
    close(open(gone, O_CREAT | O_WRONLY, 0600));
    return transfer_failed(context, device);
  }
  context->ReportError(context, "Unable to transfer to the device.");
  return 1;
}

static void reshape(Context* context, const Package* package) {
  char fault[32];
  int from = fault_of(package->device->path, fault);
  if (strcmp(fault, "shape") || package->device->runs < from) return;
  IntArray* dims = context->tensors[package->outputs->data[0]].dims;
  int all = 1;
  for (int i = 0; i < dims->size; i++) all *= dims->data[i], dims->data[i] = 1;
  dims->data[0] = all;
}

static int invoke(Context* context, Node* node) {
  const Package* package = node->user_data;
  if (!is_attached(package->device->path)) return transfer_failed(context, package->device);
  if (suffer(context, package)) return 1;
  const void* inputs[64];
  void* outputs[64];
  for (int i = 0; i < package->inputs->size; i++) inputs[i] = context->tensors[package->inputs->data[i]].data;
  for (int i = 0; i < package->outputs->size; i++) outputs[i] = context->tensors[package->outputs->data[i]].data;
  if (!kernel) find_kernel();
  if (kernel && !kernel(package->device->path, package->model, package->model_bytes, inputs, package->inputs->size,
                        outputs, package->outputs->size)) {
    reshape(context, package);
    return 0;
  }
  context->ReportError(context, "the stand-in has no function that runs a segment, or it failed");
  return 1;
}

static int delegate_prepare(Context* context, Delegate* delegate) {
  Registration registration = {.init = init, .free = release, .prepare = prepare, .invoke = invoke};
  registration.custom_name = "EdgeTpuDelegateForCustomOp", registration.version = 1;
  IntArray* plan;
  if (context->GetExecutionPlan(context, &plan)) return 1;
  int found[1024], count = 0;
  for (int i = 0; i < plan->size && count < 1024; i++) {
    Node* node;
    Registration* known;
    if (context->GetNodeAndRegistration(context, plan->data[i], &node, &known)) return 1;
    if (known->custom_name && !strcmp(known->custom_name, "edgetpu-custom-op")) found[count++] = plan->data[i];
  }
  IntArray* one = malloc(sizeof(IntArray) + sizeof(int));
  one->size = 1;
  int status = 0;
  for (int i = 0; i < count && !status; i++) {
    one->data[0] = found[i];
    status = context->ReplaceNodeSubsetsWithDelegateKernels(context, registration, one, delegate);
  }
  free(one);
  return status;
}

static Delegate* delegate_for(Open* device) {
  if (!device) return NULL;
  Delegate* delegate = calloc(1, sizeof *delegate);
  delegate->data = device, delegate->Prepare = delegate_prepare, delegate->flags = 1;
  return delegate;
}

void edgetpu_free_delegate(Delegate* delegate) {
  if (!delegate) return;
  close_device(delegate->data);
  free(delegate);
}

Delegate* edgetpu_create_delegate(enum edgetpu_device_type type, const char* name, const struct edgetpu_option* options,
                                  size_t num_options) {
  (void)options, (void)num_options;
  return delegate_for(open_device(type, name));
}

// "usb:1", "pci:0" or ":2": the place in the order of enumeration, of one type or of all.
Delegate* tflite_plugin_create_delegate(char** keys, char** values, size_t count, void (*report)(const char*)) {
  (void)report;
  if (getenv("STANDIN_EDGETPU_CRASH")) raise(SIGSEGV);
  struct edgetpu_device devices[MOST_DEVICES];
  char paths[MOST_DEVICES][LONGEST];
  const char* wanted = ":0";
  for (size_t i = 0; i < count; i++)
    if (!strcmp(keys[i], "device")) wanted = values[i];
  const char* colon = strchr(wanted, ':');
  if (!colon) return NULL;
  int index = atoi(colon + 1), found = enumerate(devices, paths);
  for (int i = 0; i < found; i++) {
    bool matches = colon == wanted || !strncmp(wanted, devices[i].type == EDGETPU_APEX_PCI ? "pci" : "usb", 3);
    if (matches && index-- == 0) return delegate_for(open_device(devices[i].type, devices[i].path));
  }
  return NULL;
}

void tflite_plugin_destroy_delegate(Delegate* delegate) { edgetpu_free_delegate(delegate); }
