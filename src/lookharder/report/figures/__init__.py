"""Figures of laws, runs, routing and calibration; each takes results and draws, and computes nothing."""
