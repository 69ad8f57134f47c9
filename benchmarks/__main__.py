"""Run every benchmark, then write the documentation's tables."""

from __future__ import annotations

from benchmarks import chain_proof, cpu_pipeline, fuzz, picture, readme, study, tune_cpu, zoo_facts


def main() -> None:
    for benchmark in (zoo_facts, study, picture, chain_proof, cpu_pipeline, tune_cpu, fuzz, readme):
        print(f"== {benchmark.__name__}", flush=True)
        benchmark.main()


if __name__ == "__main__":
    main()
