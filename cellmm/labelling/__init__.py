"""The labelling loop: cells proposed to a person, the images first that the model is least sure of."""

from cellmm.labelling.programs import PROGRAMS, Program, programs_of
from cellmm.labelling.proposals import Proposal, Proposals
from cellmm.labelling.ranking import RankedImage, rank_images, write_ranking
from cellmm.labelling.shapes import Shapes
from cellmm.labelling.uncertainty import Uncertainty, least_score, uncertainty_of

__all__ = [
    "PROGRAMS",
    "Program",
    "Proposal",
    "Proposals",
    "RankedImage",
    "Shapes",
    "Uncertainty",
    "least_score",
    "programs_of",
    "rank_images",
    "uncertainty_of",
    "write_ranking",
]
