from .pairing import chosen as chosen, compare as compare, edge_wins as edge_wins
from .scores import chance_score as chance_score, sample_losses as sample_losses, score as score
from .training import TrainedArm as TrainedArm, TrainingPlan as TrainingPlan, train_arm as train_arm
