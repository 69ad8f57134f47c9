"""Run every benchmark, then write the documentation's tables."""

from __future__ import annotations

from benchmarks import chain_proof, cpu_pipeline, fuzz, readme, study


def main() -> None:
    for benchmark in (study, chain_proof, cpu_pipeline, fuzz, readme):
        print(f"== {benchmark.__name__}", flush=True)
        benchmark.main()


if __name__ == "__main__":
    main()
