"""Stages of any DAG: between two ideals, sets of operations that hold whatever their members need."""
