"""What versions of edgetpu_compiler print: the figures of public reports in the format of each version.

Sources: reports 60, 211, 324, 427, 572 and 189 of google-coral/edgetpu, and a published walk-through for 2.0.
"""

from __future__ import annotations

PARTLY = (
    "Model successfully compiled but not all operations are supported by the Edge TPU. A percentage of the model will "
    "instead run on the CPU, which is slower. If possible, consider updating your model to use only operations "
    "supported by the Edge TPU. For details, visit g.co/coral/model-reqs."
)

UNSPECIFIED = "not mapped due to some unspecified limitation"

V2_0 = f"""\
Edge TPU Compiler version 2.0.267685300

Model compiled successfully in 231 ms.

Input model: motion_blur.tflite
Input size: 3.03KiB
Output model: motion_blur_edgetpu.tflite
Output size: 296.85KiB
On-chip memory available for caching model parameters: 1.73MiB
On-chip memory used for caching model parameters: 10.00KiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 3
Operation log: motion_blur_edgetpu.log

{PARTLY}
Number of operations that will run on Edge TPU: 1
Number of operations that will run on CPU: 2

Operator                       Count      Status

DEPTHWISE_CONV_2D              1          Mapped to Edge TPU
DEQUANTIZE                     1          Operation is working on an unsupported data type
QUANTIZE                       1          Operation is otherwise supported, but {UNSPECIFIED}
"""

V2_1 = f"""\
Edge TPU Compiler version 2.1.302470888

Model compiled successfully in 12264 ms.

Input model: model2.tflite
Input size: 8.11MiB
Output model: model2_edgetpu.tflite
Output size: 9.47MiB
On-chip memory used for caching model parameters: 6.86MiB
On-chip memory remaining for caching model parameters: 7.75KiB
Off-chip memory used for streaming uncached model parameters: 1.22MiB
Number of Edge TPU subgraphs: 1
Total number of operations: 93
Operation log: model2_edgetpu.log

{PARTLY}
Number of operations that will run on Edge TPU: 83
Number of operations that will run on CPU: 10
See the operation log file for individual operation details.
"""

V14 = """\
Edge TPU Compiler version 14.1.317412892

Model compiled successfully in 1626 ms.

Input model: cam-ai_model_quant.tflite
Input size: 46.29MiB
Output model: cam-ai_model_quant_edgetpu.tflite
Output size: 47.24MiB
On-chip memory used for caching model parameters: 5.99MiB
On-chip memory remaining for caching model parameters: 74.00KiB
Off-chip memory used for streaming uncached model parameters: 15.73MiB
Number of Edge TPU subgraphs: 1
Total number of operations: 108
Operation log: cam-ai_model_quant_edgetpu.log
See the operation log file for individual operation details.
"""

V15 = f"""\
Edge TPU Compiler version 15.0.340273435

Model compiled successfully in 1379 ms.

Input model: model.tflite
Input size: 4.41MiB
Output model: model_edgetpu.tflite
Output size: 5.49MiB
On-chip memory used for caching model parameters: 1.92MiB
On-chip memory remaining for caching model parameters: 1.75KiB
Off-chip memory used for streaming uncached model parameters: 3.23MiB
Number of Edge TPU subgraphs: 1
Total number of operations: 136
Operation log: model_edgetpu.log

{PARTLY}
Number of operations that will run on Edge TPU: 135
Number of operations that will run on CPU: 1

Operator                       Count      Status

RESHAPE                        15         Mapped to Edge TPU
CONCATENATION                  3          Mapped to Edge TPU
MAX_POOL_2D                    3          Mapped to Edge TPU
ADD                            10         Mapped to Edge TPU
CUSTOM                         1          Operation is working on an unsupported data type
"""

V16 = """\
Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 542 ms.

Input model: quantized_model.tflite
Input size: 4.04MiB
Output model: quantized_model_edgetpu.tflite
Output size: 4.13MiB
On-chip memory used for caching model parameters: 604.50KiB
On-chip memory remaining for caching model parameters: 511.50KiB
Off-chip memory used for streaming uncached model parameters: 3.45MiB
Number of Edge TPU subgraphs: 1
Total number of operations: 50
Operation log: quantized_model_edgetpu.log
See the operation log file for individual operation details.
Compilation child process completed within timeout period.
Compilation succeeded!
"""

OPERATION_LOG = """\
Edge TPU Compiler version 16.0.384591198
Input: quantized_model.tflite
Output: quantized_model_edgetpu.tflite

Operator                       Count      Status

ADD                            2          More than one subgraph is not supported
ADD                            6          Mapped to Edge TPU
QUANTIZE                       2          Mapped to Edge TPU
CONV_2D                        40         Mapped to Edge TPU
"""

FAILURES = {
    "Edge TPU Compiler version 14.1.317412892\n\nInternal compiler error. Aborting! \n": (
        "Internal compiler error. Aborting"
    ),
    "Edge TPU Compiler version 15.0.340273435\n\nInvalid model: net.tflite\nModel not quantized\n": (
        "Invalid model: net.tflite Model not quantized"
    ),
    "Edge TPU Compiler version 16.0.384591198\nStarted a compilation timeout timer of 180 seconds.\n"
    "ERROR: Encountered unresolved custom op: Atan.\nERROR: Node number 1 (Atan) failed to prepare.\n\n"
    "Compilation failed: Model failed in Tflite interpreter. Please ensure model can be loaded/run in Tflite "
    "interpreter.\nCompilation child process completed within timeout period.\nCompilation failed! \n": (
        "ERROR: Encountered unresolved custom op: Atan."
    ),
    "Edge TPU Compiler version 16.0.384591198\nStarted a compilation timeout timer of 5 seconds.\n"
    "Compilation child process completed within timeout period.\nCompilation failed!\n": "it gives no reason",
    "": "it gives no reason",
}
