"""Run every benchmark, then write the documentation's tables."""

from __future__ import annotations

from benchmarks import (
    batch_kill,
    certificates,
    chain_proof,
    compile_loop,
    cpu_pipeline,
    dag_fuzz,
    dag_proof,
    emulated,
    enumeration,
    equal,
    fuzz,
    isolation,
    layouts,
    lost_devices,
    mutations,
    overhead,
    picture,
    pool_rates,
    readme,
    serve,
    soak,
    study,
    tune_cpu,
    tune_devices,
    zoo_facts,
    zoo_proofs,
)
from benchmarks.calibration import __main__ as calibration
from benchmarks.calibration.measurements import default_folder

BENCHMARKS = (
    zoo_facts,
    study,
    picture,
    chain_proof,
    layouts,
    zoo_proofs,
    dag_proof,
    compile_loop,
    cpu_pipeline,
    tune_cpu,
    tune_devices,
    fuzz,
    certificates,
    dag_fuzz,
    enumeration,
    mutations,
    batch_kill,
    overhead,
    isolation,
    lost_devices,
    emulated,
    pool_rates,
    equal,
    soak,
    serve,
    readme,
)


def main() -> None:
    # The device model is held against published measurements where those are at hand; the rest uses what it fitted.
    available = (calibration,) if default_folder().is_dir() else ()
    for benchmark in (*available, *BENCHMARKS):
        print(f"== {benchmark.__name__}", flush=True)
        benchmark.main()


if __name__ == "__main__":
    main()
